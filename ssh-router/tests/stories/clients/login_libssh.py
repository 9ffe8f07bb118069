"""Logs in with libssh, called as it is, as the command line says: HOST PORT LOGIN HOST_KEY key|password FILE|WORD."""

import base64
import ctypes
import sys

# Of `enum ssh_options_e`.
HOST, PORT, USER, CONFIG = 0, 2, 4, 38

host, port, login, host_key, how, secret = sys.argv[1:7]

ssh = ctypes.CDLL("libssh.so.4")
pointer, text = ctypes.c_void_p, ctypes.c_char_p
for name in ["ssh_new", "ssh_channel_new"]:
    getattr(ssh, name).restype = pointer
ssh.ssh_get_error.restype = text


def must(result, wanted=0):
    if result != wanted:
        sys.exit("libssh: " + ssh.ssh_get_error(session).decode())


session = pointer(ssh.ssh_new())
off = ctypes.byref(ctypes.c_bool(False))
must(ssh.ssh_options_set(session, CONFIG, off))
must(ssh.ssh_options_set(session, HOST, text(host.encode())))
must(ssh.ssh_options_set(session, PORT, text(port.encode())))
must(ssh.ssh_options_set(session, USER, text(login.encode())))
must(ssh.ssh_connect(session))

shown, line = pointer(), text()
must(ssh.ssh_get_server_publickey(session, ctypes.byref(shown)))
must(ssh.ssh_pki_export_pubkey_base64(shown, ctypes.byref(line)))
if base64.b64decode(line.value) != base64.b64decode(host_key.split()[1]):
    sys.exit("another host key")

if how == "key":
    key = pointer()
    must(ssh.ssh_pki_import_privkey_file(text(secret.encode()), None, None, None, ctypes.byref(key)))
    must(ssh.ssh_userauth_publickey(session, None, key))
else:
    must(ssh.ssh_userauth_password(session, None, text(secret.encode())))
