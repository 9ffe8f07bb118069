"""What paramiko does besides running commands: files, a connection beside the session, the agent, a terminal's size.

    more_with_paramiko.py HOST PORT LOGIN HOST_KEY key FILE BIG FOLDER ECHO_PORT
"""

import logging
import sys

import paramiko
from paramiko.agent import AgentRequestHandler

from login_paramiko import client

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
big, folder, echo = sys.argv[7:10]
transport = client.get_transport()


files = client.open_sftp()
there = folder + "/there"
files.mkdir(there)
files.put(big, there + "/copy")
files.posix_rename(there + "/copy", there + "/moved")
files.symlink(there + "/moved", there + "/again")
files.rename(there + "/moved", there + "/copy")
files.unlink(there + "/again")
files.symlink("copy", there + "/again")
print("folder:", sorted(files.listdir(there)))
files.get(there + "/again", folder + "/back")
with open(big, "rb") as one, open(folder + "/back", "rb") as other:
    content = one.read()
    print("back:", "the same" if content == other.read() else "different")

forwarded = transport.open_channel("direct-tcpip", ("127.0.0.1", int(echo)), ("127.0.0.1", 1))
forwarded.sendall(content[:300_000])
forwarded.shutdown_write()
with forwarded.makefile("rb") as heard:
    print("forwarded:", "the same" if heard.read() == content[:300_000] else "different")
try:
    transport.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 1))
    print("nowhere: connected")
except paramiko.ChannelException as error:
    # The number of the reason (RFC 4254, section 5.1); the words beside it don't come through.
    print("nowhere: refused", error.code)

asking = transport.open_session()
agent = AgentRequestHandler(asking)
asking.exec_command("ssh-add -L; exit 4")
with asking.makefile() as heard:
    print("agent:", heard.read().decode().strip(), asking.recv_exit_status())
agent.close()

sized = transport.open_session()
sized.get_pty("vt220", 97, 31)
sized.exec_command("trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.1; done")
with sized.makefile() as heard:
    first = heard.readline()
    sized.resize_pty(122, 44)
    print("size:", first.strip(), heard.read().decode().strip(), sized.recv_exit_status())
client.close()
