-- SPDX-License-Identifier: Apache-2.0

local function create(body)
  return { kind = "docker.container.create", text = "POST /v1.41/containers/create?name=x\n\n" .. body }
end
local function with(host)
  return create('{"Image":"registry.example.com/app:1","Cmd":["app"],"User":"web","HostConfig":{' .. host .. '}}')
end
local function exec(body, lines)
  return { kind = "docker.exec.create", text = "POST /containers/abc/exec\ncontainer: web\n" .. (lines or "") .. "\n" .. body }
end
local function started(argv, lines)
  return { kind = "docker.exec", text = "POST /exec/abc/start\ncontainer: web\n" .. (lines or "") .. "exec.argv: " .. argv .. "\n\n{}" }
end
local prod, dev = { label = { env = "prod" } }, { label = { env = "dev" } }

test "a plain container" { target = dev, send = with "", expect = "allow" }
test "privileged" { send = with '"Privileged":true', expect = "deny by docker-no-privileged" }
test "privileged, in other letters" { send = with '"privileged":true', expect = "deny" }
test "a privileged command" { send = exec '{"Cmd":["id"],"Privileged":true,"User":"web"}', expect = "deny by docker-no-privileged" }
test "a command in a privileged container" {
  send = started('["id"]', "container.privileged: true\nexec.user: web\n"), expect = "deny by docker-no-privileged",
}
test "the host's processes" { send = with '"PidMode":"host"', expect = "deny by docker-no-host-namespaces" }
test "the host's network" { send = with '"NetworkMode":"host"', expect = "deny by docker-no-host-namespaces" }
test "the host's users" { send = with '"UsernsMode":"host"', expect = "deny by docker-no-host-namespaces" }
test "another's processes" { send = with '"PidMode":"container:db"', expect = "deny" }
test "the engine's socket" { send = with '"Binds":["/var/run/docker.sock:/s"]', expect = "deny by docker-no-engine-socket" }
test "the folder it is in" { send = with '"Binds":["/run:/s:ro"]', expect = "deny by docker-no-engine-socket" }
test "all of the host" { send = with '"Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]', expect = "deny by docker-no-engine-socket" }
test "a path of the host" { send = with '"Binds":["/etc:/e:ro"]', expect = "deny by docker-no-host-paths" }
test "one that begins alike" { send = with '"Binds":["/srv/shared2:/e"]', expect = "deny by docker-no-host-paths" }
test "one of two" { send = with '"Binds":["/srv/shared/a:/a","/etc:/e"]', expect = "deny by docker-no-host-paths" }
test "a shared one" { target = dev, send = with '"Binds":["/srv/shared/a:/a"]', expect = "allow" }
test "up and away" { send = with '"Binds":["/srv/shared/../../etc:/e"]', expect = "deny" }
test "a volume" { target = dev, send = with '"Binds":["data:/data"]', expect = "allow" }
test "a volume that is the host" {
  send = { kind = "docker.volume", text = 'POST /volumes/create\n\n{"Name":"x","DriverOpts":{"type":"none","o":"bind","device":"/"}}' },
  expect = "deny",
}
test "a device" { send = with '"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/d"}]', expect = "deny by docker-no-devices" }
test "a strong capability" { send = with '"CapAdd":["CAP_SYS_ADMIN"]', expect = "deny by docker-capabilities" }
test "all of them" { send = with '"CapAdd":["all"]', expect = "deny by docker-capabilities" }
test "a weak one" { target = dev, send = with '"CapAdd":["NET_BIND_SERVICE"]', expect = "allow" }
test "no profile" { send = with '"SecurityOpt":["seccomp=unconfined"]', expect = "deny by docker-no-unconfined" }
test "an image from anywhere" { send = create '{"Image":"evil/app"}', expect = "deny by docker-registries" }
test "one that looks like ours" { send = create '{"Image":"registry.example.com.evil.org/app"}', expect = "deny by docker-registries" }
test "a pull from anywhere" {
  send = { kind = "docker.image", text = "POST /images/create?fromImage=alpine&tag=latest" }, expect = "deny by docker-registries",
}
test "a pull by the engine from an address" {
  send = { kind = "docker.image", text = "POST /images/create?fromSrc=http://169.254.169.254/" }, expect = "deny",
}
test "a tag in production" { target = prod, send = with "", expect = "deny by docker-digests" }
test "root in production" { target = prod, send = exec '{"Cmd":["id"]}', expect = "deny by docker-exec-without-root" }
test "root by number" { target = prod, send = exec '{"Cmd":["id"],"User":"0:0"}', expect = "deny by docker-exec-without-root" }
test "the container's user" { target = prod, send = exec('{"Cmd":["id"]}', "container.user: web\n"), expect = "allow" }
test "root as it starts" { target = prod, send = started '["id"]', expect = "deny by docker-exec-without-root" }
test "root elsewhere" { target = dev, send = exec '{"Cmd":["id"]}', expect = "allow" }
test "rm in production" { target = prod, send = exec '{"Cmd":["/bin/rm","-rf","/data"],"User":"web"}', expect = "deny by docker-exec-destructive" }
test "rm by a shell" { target = prod, send = exec '{"Cmd":["sh","-c","rm x"],"User":"web"}', expect = "deny by docker-exec-destructive" }
test "rm behind another" {
  target = prod, send = started('["sh","-ec","ls /x && /bin/rm -r /x"]', "exec.user: web\n"), expect = "deny by docker-exec-destructive",
}
test "root by a shell" { target = prod, send = started '["sh","-c","ls; id"]', expect = "deny by docker-exec-without-root" }
test "two that are fine" { target = prod, send = exec '{"Cmd":["sh","-c","ls /x && id"],"User":"web"}', expect = "allow" }
test "rm by what a shell makes of it" { target = prod, send = exec '{"Cmd":["sh","-c","$X x"],"User":"web"}', expect = "deny" }
test "rm -f in production" {
  target = prod, send = { kind = "docker.container", text = "DELETE /containers/abc?force=1\ncontainer: web\n" },
  expect = "approve by docker-remove-needs-lead",
}
test "logs are fine" { target = prod, send = { kind = "docker.container", text = "GET /containers/abc/logs?stdout=1\ncontainer: web\n" }, expect = "allow" }
test "a key twice" { send = create '{"Image":"registry.example.com/a","Image":"evil"}', expect = "deny" }
