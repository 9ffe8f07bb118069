"""A client made of libssh, called as it is: runs a command like `ssh` does, or a shell in a terminal where no command is given.

    with_libssh.py HOST PORT LOGIN HOST_KEY key|password FILE|WORD [COMMAND]
"""

import ctypes
import sys

from login_libssh import must, pointer, session, ssh, text

command = sys.argv[7] if len(sys.argv) > 7 else None

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
