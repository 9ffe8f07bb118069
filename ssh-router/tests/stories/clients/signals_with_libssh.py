"""What libssh's client tells a program, and hears of its end, besides its output: signals and a terminal's size.

    signals_with_libssh.py HOST PORT LOGIN HOST_KEY key FILE
"""

import ctypes

from login_libssh import must, pointer, session, ssh, text


class Callbacks(ctypes.Structure):
    """The beginning of `struct ssh_channel_callbacks_struct`, as far as it is used."""

    EXIT_SIGNAL = ctypes.CFUNCTYPE(None, pointer, pointer, text, ctypes.c_int, text, text, pointer)
    _fields_ = [("size", ctypes.c_size_t)] + [
        (name, pointer) for name in ["userdata", "data", "eof", "close", "signal", "exit_status"]
    ] + [("exit_signal", EXIT_SIGNAL)]


def run(command, terminal=False, callbacks=None):
    channel = pointer(ssh.ssh_channel_new(session))
    must(ssh.ssh_channel_open_session(channel))
    if callbacks:
        # Before the program begins: it may have ended before its beginning was heard of.
        must(ssh.ssh_set_channel_callbacks(channel, ctypes.byref(callbacks)))
    if terminal:
        must(ssh.ssh_channel_request_pty_size(channel, text(b"vt220"), 97, 31))
    must(ssh.ssh_channel_request_exec(channel, text(command.encode())))
    return channel


def line(channel):
    """The next line that the program says, without its end."""
    said, byte = b"", ctypes.create_string_buffer(1)
    while not said.endswith(b"\n"):
        if ssh.ssh_channel_read_timeout(channel, byte, 1, 0, 60_000) != 1:
            return f"{said.decode()} and no more"
        said += byte.raw
    return said.decode().strip()


def ended_by(command, signal=None):
    """The signal of which a program's end tells."""
    seen = []
    heard = Callbacks.EXIT_SIGNAL(lambda _session, _channel, name, *_: seen.append(name.decode()))
    callbacks = Callbacks(size=ctypes.sizeof(Callbacks), exit_signal=heard)
    channel = run(command, callbacks=callbacks)
    line(channel)
    if signal:
        must(ssh.ssh_channel_request_send_signal(channel, text(signal.encode())))
    # This waits for the end of the channel.
    ssh.ssh_channel_get_exit_status(channel)
    ssh.ssh_channel_free(channel)
    return seen


channel = run("trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.1; done", terminal=True)
first = line(channel)
must(ssh.ssh_channel_change_pty_size(channel, 122, 44))
print(f"size: {first}, {line(channel)}, status {ssh.ssh_channel_get_exit_status(channel)}")

for name in ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"]:
    channel = run(f"trap 'echo heard; exit 5' {name}; echo ready; while :; do sleep 0.1; done")
    line(channel)
    must(ssh.ssh_channel_request_send_signal(channel, text(name.encode())))
    print(f"{name}: {line(channel)}, status {ssh.ssh_channel_get_exit_status(channel)}")

print("killed: signal", *ended_by("echo ready; exec sleep 60", "KILL"))
print("by itself: signal", *ended_by("echo ready; kill -TERM $$"))
ssh.ssh_disconnect(session)
