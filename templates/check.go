package templates

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// What the syntaxes of all the files here can hold without a thought. The spec
// asks for no more, and a stray blank or quote must not become a directive.
var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_+.-]+)+$`)
	plainAuth = regexp.MustCompile(`^[A-Za-z0-9.,:;+_=/@%^*~()\[\]<>|?-]{1,8}$`)
	facility  = regexp.MustCompile(`^local[0-7]$`)
)

// check refuses what no file can express, or what the versions lack.
func (h Host) check() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	need := func(f Feature, what string) {
		if err := h.Keepalived.Version.need(f, what); err != nil {
			errs = append(errs, err)
		}
	}
	for _, n := range []struct{ what, name string }{
		{"pair", h.Pair}, {"host", h.Self.Name}, {"host", h.Peer.Name},
		{"interface", h.Interface}, {"user", h.User}, {"group", h.Group},
	} {
		if !plainName.MatchString(n.name) {
			refuse("%s name %q: only letters, digits, '.', '_' and '-' can stand in every file", n.what, n.name)
		}
	}
	for _, p := range []string{h.RedisPrefix, h.KeepalivedPrefix} {
		if !plainPath.MatchString(p) {
			refuse("prefix %q: an absolute path of letters, digits, '.', '_', '+' and '-' is needed", p)
		}
	}
	if !facility.MatchString(h.Keepalived.SyslogFacility) {
		refuse("syslog facility %q: keepalived can log to local0 … local7 only", h.Keepalived.SyslogFacility)
	}

	oldest, ok := oldestServer[h.Redis.Product]
	switch {
	case !ok:
		refuse("product %q: redis and valkey are known", h.Redis.Product)
	case h.Redis.Version.Less(oldest):
		refuse("%s %s is older than %s, the oldest that hapair knows", h.Redis.Product, h.Redis.Version, oldest)
	}
	for _, d := range h.Redis.Config {
		if err := CheckDirective(h.Redis.Product, h.Redis.Version, d); err != nil {
			errs = append(errs, err)
		}
	}
	if strings.ContainsAny(h.Redis.Password, "\x00\r\n") {
		refuse("the Redis password holds a line break or a zero byte: no line of redis-cli can carry it")
	}

	k := h.Keepalived
	if k.Version.Less(oldestKeepalived) {
		refuse("keepalived %s is older than %s, the oldest that hapair knows", k.Version, oldestKeepalived)
	}
	v := view{h}
	if v.Version3() {
		need(VRRPv3, "an advert interval of "+k.AdvertInterval.String())
	}
	switch limit := 255 * time.Second; {
	case v.Version3() && k.AdvertInterval > 40950*time.Millisecond:
		refuse("advert interval %s: VRRP version 3 knows up to 40.95s", k.AdvertInterval)
	case v.Version3() && (k.AdvertInterval < 10*time.Millisecond || k.AdvertInterval%(10*time.Millisecond) != 0):
		refuse("advert interval %s: VRRP version 3 knows steps of 10ms, from 10ms", k.AdvertInterval)
	case k.AdvertInterval <= 0 || k.AdvertInterval > limit:
		refuse("advert interval %s: VRRP version 2 knows 1s to %s", k.AdvertInterval, limit)
	}
	if v.AuthPassword() != "" && !plainAuth.MatchString(k.AuthPassword) {
		refuse("the VRRP password: keepalived takes 8 characters at most, and hapair leaves out blanks, quotes and what its configuration gives a meaning")
	}
	switch h.Failover.Handlers {
	case "scripts":
	case handlersNode:
		need(TrackFile, "handlers = \"node\"")
		if v.Priority() < 1 {
			refuse("priorities %d and %d: with handlers = \"node\" a promotion adds to one what lies between them, and VRRP knows 1 to 254: have them closer together", k.Priority, k.PeerPriority)
		}
	default:
		refuse("handlers %q: scripts and node are known", h.Failover.Handlers)
	}
	if h.Check.Interval <= 0 || h.Check.Timeout <= 0 || h.Check.Retries < 0 || h.Check.RetryDelay < 0 {
		refuse("check: interval and timeout must be positive, retries and retry delay not negative")
	}
	if !h.Self.Address.IsValid() || !h.Peer.Address.IsValid() || h.Self.Address.Is4() != h.Peer.Address.Is4() {
		refuse("addresses %s and %s: both hosts need one, of one family", h.Self.Address, h.Peer.Address)
	}
	if len(h.VIPs) == 0 || !valid(h.VIPs) {
		refuse("a pair needs at least one VIP, and each must be an address with a prefix length")
	} else if len(v.Advertised()) == 0 {
		refuse("unicast adverts between %s and %s cannot carry a VIP of the other family alone: add one of theirs, give the hosts addresses of the VIP's family, or set unicast = false",
			h.Self.Address, h.Peer.Address)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pair %s, host %s: %w", h.Pair, h.Self.Name, err)
	}
	return nil
}

func valid(prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if !p.IsValid() {
			return false
		}
	}
	return true
}
