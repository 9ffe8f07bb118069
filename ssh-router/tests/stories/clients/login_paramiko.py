"""Logs in with paramiko, as the command line says: HOST PORT LOGIN HOST_KEY key|password FILE|WORD."""

import base64
import sys

import paramiko

host, port, login, host_key, how, secret = sys.argv[1:7]
client = paramiko.SSHClient()
known = paramiko.Ed25519Key(data=base64.b64decode(host_key.split()[1]))
client.get_host_keys().add(f"[{host}]:{port}", known.get_name(), known)
credential = {"key_filename": secret} if how == "key" else {"password": secret}
client.connect(host, int(port), login, allow_agent=False, look_for_keys=False, **credential)
