# Drives mutt on a terminal: types keys, separated by |, prints what it showed.
import os
import pty
import re
import select
import sys
import time

port, keys = sys.argv[1], sys.argv[2].split("|")
home = os.environ["HOME"]
with open(home + "/.muttrc", "w") as rc:
    rc.write(
        f"""set ssl_starttls=no ssl_force_tls=no imap_authenticators="login"
set imap_user="mutt@example.org" imap_pass="secret"
set spoolfile="imap://127.0.0.1:{port}/INBOX" folder="imap://127.0.0.1:{port}/"
set quit=yes delete=yes confirmcreate=no confirmappend=no wait_key=no sleep_time=0
set move=no sort=mailbox-order
"""
    )
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("mutt", ["mutt"])
shown = b""
start, next_key = time.time(), time.time() + 3
while time.time() - start < 40:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    elif keys and next_key < time.time():
        os.write(terminal, keys.pop(0).encode())
        next_key = time.time() + 0.7
else:
    os.kill(pid, 9)
print(re.sub(rb"\x1b[\[\]()][0-9;?]*[A-Za-z]?", b" ", shown).decode("utf-8", "replace"))
