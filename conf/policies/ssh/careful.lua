-- SPDX-License-Identifier: Apache-2.0
-- Commands and files that one looks at twice.  Groups: "leads" decides.  Rules on words are no sandbox: a program that is
-- allowed may do what it can, and a shell in a terminal is recorded, not judged.  unseen: whoever decides on a command
-- does not see what comes on its stdin.  A folder by legacy scp (-O -r), and a name in the home, may be any file, and so
-- "secret-files" refuses them: by SFTP, which scp speaks without -O, each file is judged by its name.

rule "disks-and-power" {
  doc  = "Nobody formats, partitions or switches off by hand.",
  on   = "ssh.exec",
  when = { program = {
    "mkfs", prefix "mkfs.", "wipefs", "fdisk", "sfdisk", "parted", "shutdown", "reboot", "halt", "poweroff", "kexec",
  } },
  deny = "Ask whoever runs this host.",
}

rule "remove-folders" {
  doc     = "Whole folders are removed by two.",
  on      = "ssh.exec",
  when    = { program = "rm", argv = { matches [=[\A-[a-zA-Z]*[rR]]=], "--recursive" } },
  approve = { by = "leads", within = "15m", unseen = true },
}

rule "secret-files" {
  doc  = "Keys and hashes stay where they are.",
  on   = { "ssh.sftp", "ssh.scp" },
  when = { path = { "/etc/shadow", "/etc/gshadow", matches [[(\A|/)\.ssh/id_[a-z0-9]+\z]], suffix ".key", suffix "_key", prefix "/etc/ssl/private/" } },
  deny = "Not by file. If you need a key, make one of your own.",
}

rule "secret-files-by-command" {
  doc  = "The same by name on a command line.",
  on   = "ssh.exec",
  when = { argv = { "/etc/shadow", "/etc/gshadow", matches [[(\A|/)\.ssh/id_[a-z0-9]+\z]], prefix "/etc/ssl/private/" } },
  deny = "Not by command either.",
}

rule "metadata" {
  doc  = "The cloud's metadata and the host itself are nobody's forward.",
  on   = "ssh.forward",
  when = { host = { prefix "169.254.", "localhost", prefix "127.", "::1" } },
  deny = "Not through here.",
}
