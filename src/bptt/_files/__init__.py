"""Files that are there whole or not at all, and that show it when they are damaged.

| | |
|---|---|
| `put_whole` | writes beside the file, flushes to the disk, renames: a reader finds the old file or the new one |
| `put_out` | the same for a file that the user named: links are followed, pipes and terminals written to |
| `Held` | a descriptor that a script may close, and whether it is still the file it was opened on |
| `regular`, `read_regular` | opens, reads a file, never a pipe or a device in its place |
| `seal`, `unseal` | a JSON document with its format and the SHA-256 of its own content in it |
| `link`, `unlink` | lines of JSON, each with its CRC-32 and that of the line before, so that gaps show |
| `stamped`, `check_stamp` | a file of another format, torch's, with the SHA-256 of its bytes behind its end |

A checksum tells damage, not malice: who can write the file can write a fitting one.
"""

from bptt._files._damage import DamagedFileError as DamagedFileError
from bptt._files._damage import newer as newer
from bptt._files._damage import writer as writer
from bptt._files._held import Held as Held
from bptt._files._linked import START as START
from bptt._files._linked import Lines as Lines
from bptt._files._linked import link as link
from bptt._files._linked import unlink as unlink
from bptt._files._regular import read_regular as read_regular
from bptt._files._regular import regular as regular
from bptt._files._sealed import seal as seal
from bptt._files._sealed import unseal as unseal
from bptt._files._stamped import check_stamp as check_stamp
from bptt._files._stamped import stamped as stamped
from bptt._files._whole import put_out as put_out
from bptt._files._whole import put_whole as put_whole
from bptt._files._whole import sweep as sweep
