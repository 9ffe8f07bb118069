"""A client made of paramiko: runs a command like `ssh` does, or a shell in a terminal where no command is given.

    with_paramiko.py HOST PORT LOGIN HOST_KEY key|password FILE|WORD [COMMAND]
"""

import os
import sys
import threading

from login_paramiko import client

command = sys.argv[7] if len(sys.argv) > 7 else None

channel = client.get_transport().open_session()
if command is None:
    channel.get_pty("vt220", 97, 31)
    channel.invoke_shell()
else:
    channel.exec_command(command)


def send():
    while block := sys.stdin.buffer.read1(1 << 16):
        channel.sendall(block)
    channel.shutdown_write()


def take(read, write):
    while block := read(1 << 16):
        write(block)


threads = [
    threading.Thread(target=send, daemon=True),
    threading.Thread(target=take, args=(channel.recv, sys.stdout.buffer.write)),
    threading.Thread(target=take, args=(channel.recv_stderr, sys.stderr.buffer.write)),
]
for thread in threads:
    thread.start()
for thread in threads[1:]:
    thread.join()
status = channel.recv_exit_status()
client.close()
for out in [sys.stdout, sys.stderr]:
    out.flush()
# Not by the interpreter's own way out, which breaks off when a thread reads the standard input.
os._exit(status)
