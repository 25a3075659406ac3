package drill

import (
	"strconv"
	"time"

	"hapair/plan/pair"
	"hapair/plan/spec"
)

// setting is what a pair is made of.
func setting(s *spec.Pair, seen pair.State) Setting {
	out := Setting{VIP: s.VIPs[0].String()}
	add := func(name, value string) { out.Timing = append(out.Timing, Figure{name, value}) }
	for _, d := range []struct {
		name string
		time.Duration
	}{
		{"keepalived.advert_interval", s.Keepalived.AdvertInterval},
		{"check.interval", s.Check.Interval},
		{"check.timeout", s.Check.Timeout},
		{"check.retry_delay", s.Check.RetryDelay},
		{"failover.sync_timeout", s.Failover.SyncTimeout},
	} {
		add(d.name, d.String())
	}
	add("check.retries", strconv.Itoa(s.Check.Retries))
	add("failover.handlers", string(s.Failover.Handlers))
	add("failover.durability", string(s.Failover.Durability))
	for i, h := range seen.Hosts {
		host := HostSetting{Host: h.Name, Address: s.Hosts[i].Address.String(), Keepalived: h.Keepalived.Version}
		if h.Redis.Info != nil {
			host.Redis = h.Redis.Info.Product + " " + h.Redis.Info.Version
		}
		out.Hosts = append(out.Hosts, host)
	}
	return out
}
