package node

import (
	"net/netip"
	"os"
	"testing"
)

func TestPings(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("ICMP takes root")
	}
	for addr, want := range map[string]bool{"127.0.0.1": true, "::1": true, "240.0.0.1": false} {
		if got, err := pings(t.Context(), netip.MustParseAddr(addr)); got != want || err != nil {
			t.Errorf("%s answers: %t, %v; want %t", addr, got, err, want)
		}
	}
}
