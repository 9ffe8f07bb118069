"""A client made of libssh, called as it is: runs a command like `ssh` does, or a shell in a terminal where no command is given.

    with_libssh.py PORT LOGIN HOST_KEY key|password FILE|WORD [COMMAND]
"""

import base64
import ctypes
import sys

# Of `enum ssh_options_e`.
HOST, PORT, USER, CONFIG = 0, 2, 4, 38

port, login, host_key, how, secret = sys.argv[1:6]
command = sys.argv[6] if len(sys.argv) > 6 else None

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
must(ssh.ssh_options_set(session, HOST, text(b"127.0.0.1")))
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

channel = pointer(ssh.ssh_channel_new(session))
must(ssh.ssh_channel_open_session(channel))
if command is None:
    must(ssh.ssh_channel_request_pty_size(channel, text(b"vt220"), 97, 31))
    must(ssh.ssh_channel_request_shell(channel))
else:
    must(ssh.ssh_channel_request_exec(channel, text(command.encode())))

# One after the other: nothing that the stories run says much before it has heard everything.
while block := sys.stdin.buffer.read1(1 << 16):
    must(ssh.ssh_channel_write(channel, block, len(block)), len(block))
must(ssh.ssh_channel_send_eof(channel))

buffer = ctypes.create_string_buffer(1 << 16)
while not ssh.ssh_channel_is_eof(channel):
    for is_stderr, out in enumerate([sys.stdout.buffer, sys.stderr.buffer]):
        count = ssh.ssh_channel_read_timeout(channel, buffer, len(buffer), is_stderr, 5)
        if count < 0:
            sys.exit("libssh: " + ssh.ssh_get_error(session).decode())
        out.write(buffer.raw[:count])
        out.flush()
# The end of the output may come before the status. This waits for it; a poll at the end of the output reads nothing more.
status = ssh.ssh_channel_get_exit_status(channel)
ssh.ssh_disconnect(session)
sys.exit(status if status >= 0 else 255)
