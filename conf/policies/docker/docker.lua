-- SPDX-License-Identifier: Apache-2.0
-- Containers: nothing of the host's, known images, no root in production.
-- Commands are judged twice, when an exec is made and when it starts: a rule on both says no at once, with its text.

local registries = { "registry.example.com" }
local host_paths = matches [[^/srv/shared(/|$)]]
local leads = "leads"

local exec = { "docker.exec", "docker.exec.create" }
local commands = { "docker.exec", "docker.exec.create", "docker.container.create" }

rule "docker-no-privileged" {
  doc  = "A privileged container is the host.",
  on   = commands,
  when = { privileged = true },
  deny = "Privileged containers are not allowed: name the capability that is missing.",
}

rule "docker-no-host-namespaces" {
  doc  = "Who shares the host's processes, network, users or memory is outside of the container.",
  on   = "docker.container.create",
  when = { namespaces = matches [[=host$]] },
  deny = "Leave --pid, --net, --ipc, --uts, --userns and --cgroupns alone.",
}

rule "docker-no-engine-socket" {
  doc  = "The engine's socket is root on the host, past this gateway; so are the folders that it is in.",
  on   = "docker.container.create",
  when = { host_paths = matches [[(docker|containerd|crio|podman)[^/]*\.sock$|^/+(run|var|var/run|run/containerd)?/*$]] },
  deny = "The engine can't be reached from inside a container.",
}

rule "docker-no-host-paths" {
  doc    = "Of the host's files those in the list alone.",
  on     = "docker.container.create",
  when   = { host_paths = matches [[.]] },
  unless = { host_paths = host_paths },
  deny   = "Use a volume: of the host's files only those in /srv/shared can be mounted.",
}

rule "docker-no-devices" {
  doc  = "Devices of the host stay there.",
  on   = "docker.container.create",
  when = { devices = matches [[.]] },
  deny = "Devices of the host can't be given to containers.",
}

rule "docker-capabilities" {
  doc    = "Few capabilities leave a container a container.",
  on     = "docker.container.create",
  when   = { caps = matches [[.]] },
  unless = { caps = { "NET_BIND_SERVICE", "CHOWN", "SETUID", "SETGID", "KILL", "AUDIT_WRITE" } },
  deny   = "That capability reaches the host.",
}

rule "docker-no-unconfined" {
  doc  = "Seccomp, AppArmor and SELinux stay on.",
  on   = "docker.container.create",
  when = { security = matches [[(?i)unconfined|disable|systempaths|no-new-privileges[=:]false]] },
  deny = "Security profiles can't be switched off.",
}

rule "docker-registries" {
  doc    = "Images come from registries that somebody looks after.",
  on     = { "docker.container.create", "docker.image" },
  when   = { action = { "create", "pull", "push" } },
  unless = { registry = registries },
  deny   = "Use an image of registry.example.com.",
}

rule "docker-digests" {
  doc  = "In production an image is named by what it is: a tag may be another one tomorrow.",
  on   = "docker.container.create",
  when = { env = "prod", pinned = false },
  deny = "Name the image by its digest: NAME@sha256:…",
}

rule "docker-exec-without-root" {
  doc  = "In production nobody is root, not in a container either.",
  on   = exec,
  when = { env = "prod", root = true },
  deny = "Say who you are: docker exec --user NAME …",
}

rule "docker-exec-destructive" {
  doc  = "Files and processes of what runs in production are not removed by hand.",
  on   = exec,
  when = { env = "prod", program = { "rm", "dd", "mkfs", "shred", "kill", "killall", "pkill", "reboot", "shutdown", "mount", "umount" } },
  deny = "Change it in the image, and deploy it.",
}

rule "docker-remove-needs-lead" {
  doc     = "What is removed, killed or pruned in production, a lead agrees to.",
  on      = { "docker.container", "docker.volume", "docker.image", "docker.network" },
  when    = { env = "prod", action = { "remove", "kill", "prune" } },
  approve = { by = leads, within = "15m" },
}
