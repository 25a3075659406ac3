package pair

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/remotetest"
	"hapair/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLayoutKnowsTheProduct(t *testing.T) {
	for _, test := range []struct {
		install  spec.Install
		want     templates.Product
		packaged bool
	}{
		{spec.Install{Source: &spec.Source{Product: "redis"}}, templates.ProductRedis, false},
		{spec.Install{Source: &spec.Source{Product: "valkey"}}, templates.ProductValkey, false},
		{spec.Install{Package: &spec.Package{}}, templates.ProductRedis, true},
		{spec.Install{Package: &spec.Package{Name: "valkey-server"}}, templates.ProductValkey, true},
	} {
		p := documented()
		p.Redis.Install = test.install
		if l := Layout(p); l.Product != test.want || l.RedisPackaged != test.packaged {
			t.Errorf("%+v: product %q, packaged %v", test.install, l.Product, l.RedisPackaged)
		}
	}
}

func TestUnreachableHostGivesItsErrorToEverything(t *testing.T) {
	down := errors.New("no route to host")
	h := Unreachable("b", down)
	_, errRun := h.Run(t.Context(), remote.Cmd{Argv: []string{"true"}})
	_, errDial := h.Dial(t.Context(), "tcp", "127.0.0.1:6379")
	errUpload := h.Upload(t.Context(), strings.NewReader(""), 0, "/x", 0o600)
	if errRun != down || errDial != down || errUpload != down || h.String() != "b" || h.Close() != nil {
		t.Errorf("got %v, %v, %v", errRun, errDial, errUpload)
	}
}

// The script itself, on this machine, with stand-ins for the programs that it
// asks.
func TestObserveScript(t *testing.T) {
	dir := t.TempDir()
	program := func(name, body string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("path/systemctl", `
for unit do :; done
printf 'MainPID=7\nId=%s\nLoadState=loaded\nActiveState=active\n' "$unit"`)
	program("path/ip", `echo '2: eth0    inet 192.168.1.220/32 scope global eth0'`)
	program("redis/bin/redis-cli", `
printf '%s\n' "$*" >"$0.args"
cat >"$0.stdin"
printf 'OK\n# Replication\r\nrole:master\r\nmaster_repl_offset:5\r\n\nslave-priority\n7\n'`)
	program("keepalived/sbin/keepalived", `echo 'Keepalived v1.2.10 (11/22,2026)' >&2`)
	program("keepalived/logs/redis-state.log", "first line\nlast line\n")
	program("redis/conf/auth", "")
	if err := os.WriteFile(filepath.Join(dir, "redis/conf/auth"), []byte("AUTH sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	spec := documented()
	spec.Redis.Prefix, spec.Keepalived.Prefix = filepath.Join(dir, "redis"), filepath.Join(dir, "keepalived")
	host := remotetest.NewLocal(t, "a", "PATH="+filepath.Join(dir, "path")+":"+os.Getenv("PATH"))
	h := New(spec, [2]remote.Host{host, Unreachable("b", net.ErrClosed)}).Observe(t.Context()).Hosts[0]
	if h.Err != nil {
		t.Fatal(h.Err)
	}
	if h.Redis.Info == nil || h.Redis.Info.Offset != 5 || h.Redis.Rank != 7 {
		t.Errorf("Redis: %+v", h.Redis)
	}
	if !h.Keepalived.Running() || h.Keepalived.Version != "1.2.10" || h.Keepalived.PID != 7 || h.Keepalived.VRRP != Master {
		t.Errorf("keepalived: %+v", h.Keepalived)
	}
	if len(h.VIPs) != 1 || h.Clock.IsZero() || len(h.Log) == 0 || h.Log[len(h.Log)-1] != "last line" {
		t.Errorf("VIPs %v, clock %v, log %q", h.VIPs, h.Clock, h.Log)
	}
	said := func(what string) string {
		text, err := os.ReadFile(filepath.Join(dir, "redis/bin/redis-cli."+what))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := said("args"); got != "-h 127.0.0.1 -p 6379\n" {
		t.Errorf("redis-cli's arguments: %q", got)
	}
	if got := said("stdin"); got != "AUTH sesame\nINFO\nCONFIG GET slave-priority\n" {
		t.Errorf("redis-cli's standard input: %q", got)
	}
}

func TestObserveScriptOnABareHost(t *testing.T) {
	spec := documented()
	spec.Redis.Prefix, spec.Keepalived.Prefix = filepath.Join(t.TempDir(), "redis"), filepath.Join(t.TempDir(), "keepalived")
	host := remotetest.NewLocal(t, "a")
	h := New(spec, [2]remote.Host{host, Unreachable("b", net.ErrClosed)}).Observe(t.Context()).Hosts[0]
	if h.Err != nil {
		t.Fatal(h.Err)
	}
	if h.Redis.Info != nil || h.Redis.Trouble == "" || h.Keepalived.Version != "" || h.Redis.Installed {
		t.Errorf("got %+v", h)
	}
}
