"""Runs one line in the lobby, or opens a shell for none. Asks for no terminal.

Arguments: port, private key, public host key, line."""

import os
import sys

import paramiko

port, key, host_key, line = sys.argv[1:]
kind, text = open(host_key, encoding="utf-8").read().split()[:2]
client = paramiko.SSHClient()
name = f"[127.0.0.1]:{port}"
known = client.get_host_keys()
entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {kind} {text}")
known.add(name, kind, entry.key)
client.connect(
    "127.0.0.1",
    port=int(port),
    username="git",
    key_filename=key,
    look_for_keys=False,
    allow_agent=False,
    timeout=30,
)
channel = client.get_transport().open_session()
channel.settimeout(60)
if line:
    channel.exec_command(line)
else:
    channel.invoke_shell()
channel.shutdown_write()
output = channel.makefile("rb").read()
error = channel.makefile_stderr("rb").read()
code = channel.recv_exit_status()
client.close()
os.write(1, output)
os.write(2, error)
sys.exit(code)
