package pair

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseHappening(t *testing.T) {
	at := time.Date(2026, 11, 22, 22, 33, 8, 108000000, time.UTC)
	for line, want := range map[string]Happening{
		`state 2026-11-22T22:33:08.108Z level=notice host=a by=release vip=yes me="primary, rank 15" did="fence us: 14" took=8.1ms msg="handed over to b at offset 2277859"`: {
			At: at, Host: "a", By: "release", Text: "handed over to b at offset 2277859",
			Seen: map[string]string{"level": "notice", "vip": "yes", "me": "primary, rank 15", "did": "fence us: 14", "took": "8.1ms"},
		},
		`state 2026-11-22T22:33:08.108Z level=info host=a by=redis-start msg="redis started, fenced, rank 0"`: {
			At: at, Host: "a", By: "redis-start", Text: "redis started, fenced, rank 0", Seen: map[string]string{"level": "info"},
		},
		"journal 1795386788.108000 a Keepalived_vrrp[1400]: (VI_x) Entering FAULT STATE": {
			At: at, Host: "a", By: "keepalived", Text: "(VI_x) Entering FAULT STATE",
		},
		"journal 1795386788.108000 a systemd[1]: Started hapair-x-redis.service - Redis.": {
			At: at, Host: "a", By: "systemd", Text: "Started hapair-x-redis.service - Redis.",
		},
	} {
		got, ok := parseHappening("a", line)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	for _, line := range []string{"", "state", "state yesterday msg=x", "journal now a b: c", "journal 1", "other 1 2 3 4"} {
		if got, ok := parseHappening("a", line); ok {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}
