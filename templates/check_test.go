package templates

import (
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFilesRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Host)
		want   string
	}{
		"fast adverts": {func(h *Host) { h.Keepalived.AdvertInterval = 100 * time.Millisecond },
			"an advert interval of 100ms needs VRRP version 3 (adverts in fractions of a second), which keepalived has since 1.2.20; this is 1.2.10"},
		"adverts between steps": {func(h *Host) {
			h.Keepalived.Version, h.Keepalived.AdvertInterval = Version{2, 3, 4}, 15*time.Millisecond
		}, "steps of 10ms"},
		"no adverts":       {func(h *Host) { h.Keepalived.AdvertInterval = 0 }, "1s to"},
		"old keepalived":   {func(h *Host) { h.Keepalived.Version = Version{1, 2, 7} }, "older than 1.2.10"},
		"old redis":        {func(h *Host) { h.Redis.Version = Version{2, 6, 17} }, "older than 2.8.0"},
		"old valkey":       {func(h *Host) { h.Redis.Product = ProductValkey }, "older than 7.2.0"},
		"other product":    {func(h *Host) { h.Redis.Product = "keydb" }, "redis and valkey are known"},
		"directive":        {func(h *Host) { h.Redis.Config = []Directive{{"io-threads", "4"}} }, "io-threads exists since redis 6.0.0; this is 2.8.4"},
		"long VRRP secret": {func(h *Host) { h.Keepalived.AuthPassword = "123456789" }, "8 characters at most"},
		"VRRP secret":      {func(h *Host) { h.Keepalived.AuthPassword = `a" b` }, "VRRP password"},
		"Redis secret":     {func(h *Host) { h.Redis.Password = "a\nFLUSHALL" }, "line break"},
		"pair name":        {func(h *Host) { h.Pair = "a b" }, `pair name "a b"`},
		"interface":        {func(h *Host) { h.Interface = "eth0; reboot" }, "interface name"},
		"prefix":           {func(h *Host) { h.RedisPrefix = "/opt/my redis" }, "prefix"},
		"facility":         {func(h *Host) { h.Keepalived.SyslogFacility = "daemon" }, "local0 … local7"},
		"no VIP":           {func(h *Host) { h.VIPs = nil }, "at least one VIP"},
		"no VIP to advertise": {func(h *Host) {
			h.Keepalived.Unicast = true
			h.VIPs = []netip.Prefix{netip.MustParsePrefix("fd00::1/128")}
		}, "set unicast = false"},
		"families": {func(h *Host) { h.Peer.Address = netip.MustParseAddr("fd00::219") }, "of one family"},
		"check":    {func(h *Host) { h.Check.Timeout = 0 }, "check: interval and timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			h := documented()
			test.change(&h)
			files, err := Files(h)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want it to say %q", err, test.want)
			}
			if files != nil {
				t.Error("files in spite of the error")
			}
			for _, secret := range []string{h.Keepalived.AuthPassword, h.Redis.Password} {
				if secret != "" && secret != "redis" && strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		})
	}
}

// A check that keepalived ends itself counts as failed: it must have had its
// full time. So must a replica whose primary died.
func TestCheckTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, min int) time.Duration {
			return time.Duration(rapid.IntRange(min, 5000).Draw(t, name)) * time.Millisecond
		}
		h := documented()
		h.Check = Check{Interval: ms("interval", 1), Timeout: ms("timeout", 1), Retries: rapid.IntRange(0, 5).Draw(t, "retries"), RetryDelay: ms("delay", 0)}
		var longest time.Duration
		for try := range h.Check.Retries + 1 {
			if try > 0 {
				longest += h.Check.RetryDelay
			}
			longest += h.Check.Timeout
		}
		v := view{h}
		if backstop := time.Duration(v.CheckBackstop()) * time.Second; backstop <= longest {
			t.Fatalf("backstop %s, but the check may take %s", backstop, longest)
		}
		if i := v.CheckInterval(); i%time.Second != 0 || i < h.Check.Interval {
			t.Fatalf("interval %s of %s: this keepalived knows whole seconds", i, h.Check.Interval)
		}
		// The hooks compare it with INFO's seconds, in the shell's whole numbers.
		if limit := v.StaleLimit(); limit%time.Second != 0 || limit < longest {
			t.Fatalf("stale limit %s", limit)
		}
	})
}

// Whatever goes in: the same bytes each time, one file a path, its folder among
// the directories, and no password where everyone may look.
func TestFilesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHost(t)
		files, err := Files(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Files(h)
		if err != nil {
			t.Fatal(err)
		}
		dirs := map[string]Dir{"/etc/systemd/system": {}}
		last := ""
		for _, d := range Dirs(h) {
			if d.Path <= last {
				t.Fatalf("directory %s after %s", d.Path, last)
			}
			last = d.Path
			dirs[d.Path] = d
		}
		last = ""
		for i, f := range files {
			if f.Path <= last {
				t.Fatalf("file %s after %s", f.Path, last)
			}
			last = f.Path
			if string(f.Content) != string(again[i].Content) {
				t.Fatalf("%s differs from one rendering to the next", f.Path)
			}
			if _, ok := dirs[path.Dir(f.Path)]; !ok {
				t.Fatalf("no directory for %s", f.Path)
			}
			if f.Owner == "" || f.Group == "" || f.Mode == 0 || f.Mode&0o022 != 0 {
				t.Fatalf("%s: mode %o of %s:%s", f.Path, f.Mode, f.Owner, f.Group)
			}
			if !strings.HasSuffix(string(f.Content), "\n") {
				t.Fatalf("%s does not end in a line break", f.Path)
			}
			for _, secret := range []string{"hunter2", "vrrp+pw"} {
				if strings.Contains(string(f.Content), secret) && (!f.Sensitive || f.Mode&0o007 != 0) {
					t.Fatalf("%s (mode %o, sensitive %v) holds a password", f.Path, f.Mode, f.Sensitive)
				}
			}
			// keepalived's script security: nobody but root on the way to a hook.
			if path.Dir(f.Path) == h.Hooks() {
				for d := h.Hooks(); d != path.Dir(h.KeepalivedPrefix); d = path.Dir(d) {
					if dirs[d].Owner != "root" || dirs[d].Mode&0o022 != 0 {
						t.Fatalf("%s is %s's with mode %o", d, dirs[d].Owner, dirs[d].Mode)
					}
				}
			}
		}
	})
}

func drawHost(t *rapid.T) Host {
	h := fast(
		rapid.SampledFrom([]Product{ProductRedis, ProductValkey}).Draw(t, "product"),
		Version{rapid.IntRange(8, 9).Draw(t, "major"), rapid.IntRange(0, 3).Draw(t, "minor"), rapid.IntRange(0, 20).Draw(t, "patch")},
		Version{2, rapid.IntRange(0, 3).Draw(t, "keepalived"), rapid.IntRange(0, 9).Draw(t, "patch of keepalived")},
	)
	if h.Product == ProductRedis {
		h.Redis.Version.Major = rapid.IntRange(3, 8).Draw(t, "major of redis")
	}
	h.Pair = rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`).Draw(t, "pair")
	h.RedisPackaged = rapid.Bool().Draw(t, "packaged")
	if rapid.Bool().Draw(t, "password") {
		h.Redis.Password = `"hunter2" \`
	}
	if rapid.Bool().Draw(t, "secret directive") {
		h.Redis.Config = append(h.Redis.Config, Directive{"rename-command", "FLUSHALL hunter2"})
	}
	h.Keepalived.Unicast = rapid.Bool().Draw(t, "unicast")
	h.Keepalived.NoPreempt = rapid.Bool().Draw(t, "nopreempt")
	h.Keepalived.AuthPassword = rapid.SampledFrom([]string{"", "vrrp+pw"}).Draw(t, "VRRP password")
	h.Keepalived.AdvertInterval = rapid.SampledFrom([]time.Duration{100 * time.Millisecond, time.Second}).Draw(t, "adverts")
	if rapid.Bool().Draw(t, "IPv6") {
		h.Self.Address, h.Peer.Address = netip.MustParseAddr("fd00::218"), netip.MustParseAddr("fd00::219")
		h.VIPs = append(h.VIPs, netip.MustParsePrefix("fd00::220/128"))
	}
	return h
}
