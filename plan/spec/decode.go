package spec

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What may stand in each block. tuning and firewall are known so that they get
// a better answer than "unsupported".
var (
	later = []string{"tuning", "firewall"}

	pairSchema = schema{
		labels: []string{"name"},
		blocks: append([]string{"vip", "ssh", "host", "account", "redis", "keepalived", "check", "failover", "drill"}, later...),
	}
	vipSchema  = schema{attrs: []string{"address"}}
	sshSchema  = schema{attrs: []string{"address", "user", "port", "become", "become_password", "identity_file", "known_hosts", "jump"}}
	hostSchema = schema{
		labels: []string{"name"},
		attrs:  []string{"address", "interface", "priority", "garp_master_delay"},
		blocks: []string{"ssh"},
	}
	accountSchema = schema{attrs: []string{"user", "group"}}
	redisSchema   = schema{
		attrs:  []string{"prefix", "port", "password", "config"},
		blocks: []string{"source", "package"},
	}
	redisSourceSchema      = schema{attrs: []string{"product", "version", "urls", "sha256", "patches", "make", "test"}}
	keepalivedSourceSchema = schema{attrs: []string{"version", "urls", "sha256", "patches", "configure"}}
	packageSchema          = schema{attrs: []string{"name", "version"}}
	keepalivedSchema       = schema{
		attrs:  []string{"prefix", "virtual_router_id", "advert_interval", "auth_password", "unicast", "syslog_facility"},
		blocks: []string{"source", "package"},
	}
	checkSchema    = schema{attrs: []string{"interval", "timeout", "retries", "retry_delay"}}
	failoverSchema = schema{attrs: []string{"handlers", "recover", "sync_timeout", "gateway", "durability"}}
)

// The defaults. Priorities are high because a high one makes failover fast:
// after a stop or a fault the other host waits (256 - priority)/256 of an
// advert interval.
const (
	defaultUser             = "redisadmin"
	defaultGroup            = "develop"
	defaultRedisPrefix      = "/usr/local/redis"
	defaultKeepalivedPrefix = "/usr/local/keepalived"
	defaultPort             = 6379
	defaultRouterID         = 51
	defaultFacility         = "local0"
	defaultTimeout          = time.Second
	defaultRetries          = 1
	defaultRetryDelay       = 100 * time.Millisecond
	defaultSyncTimeout      = 10 * time.Second
)

var defaultPriorities = [2]int{240, 239}

// garpMasterDelay is shorter than keepalived's own 5 s: as long can clients
// believe a host that was MASTER for a moment.
const garpMasterDelay = time.Second

// draft is a pair with the sections it came from, for the checks that compare
// one thing with another.
type draft struct {
	*Pair
	pair, account, redis, redisSource, keepalived, keepalivedSource, check, failover *section
	vips, hosts, hostSSH                                                             []*section
}

// decodePairs makes the Spec. A pair with a mistake in it takes no part in the
// comparisons: they would only repeat it.
func (d *decoder) decodePairs(blocks []*hclsyntax.Block) *Spec {
	if len(blocks) == 0 && !d.diags.HasErrors() {
		d.errorNowhere("No pair", "The spec has no pair block. The smallest one is pair \"NAME\" { … } with a vip block and two host blocks; \"hapair init\" writes one to start from.")
	}
	spec := &Spec{}
	var drafts []*draft
	byName := map[string]hcl.Range{}
	for _, block := range blocks {
		before := countErrors(d.diags)
		d.sawHoles = false
		s := d.open(block, pairSchema)
		if s == nil {
			continue
		}
		name := s.labels[0]
		d.checkName(s, "pair", "paths and units")
		if first, again := byName[name]; again {
			d.errorAt(s.labelRange(0), "Duplicate pair", "There is a pair %q already on %s line %d. Give this one another name.", name, first.Filename, first.Start.Line)
			continue
		}
		byName[name] = s.header
		one := d.decodePair(s)
		if countErrors(d.diags) == before && !d.sawHoles {
			spec.Pairs = append(spec.Pairs, one.Pair)
			drafts = append(drafts, one)
		}
	}
	defaultPrefixes(drafts)
	for _, one := range drafts {
		d.checkPair(one)
	}
	d.checkPairs(drafts)
	return spec
}

func countErrors(diags hcl.Diagnostics) int {
	n := 0
	for _, diag := range diags {
		if diag.Severity == hcl.DiagError {
			n++
		}
	}
	return n
}

var labelName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// checkName checks the label of a block; partOf says where it ends up.
func (d *decoder) checkName(s *section, what, partOf string) {
	if labelName.MatchString(s.labels[0]) {
		return
	}
	d.errorAt(s.labelRange(0), "Invalid "+what+" name",
		"The name of a %s is a part of %s: it begins with a lower-case letter, then letters, digits and hyphens, 32 characters at most.", what, partOf)
}

func (d *decoder) decodePair(s *section) *draft {
	for _, kind := range later {
		for _, block := range s.blocks[kind] {
			d.errorAt(block.TypeRange, "Not available in this version", "This version of hapair has no %s block yet. Remove it.", kind)
		}
	}
	one := &draft{Pair: &Pair{Name: s.labels[0]}, pair: s}
	one.decodeVIPs()
	one.decodeHosts()
	one.decodeAccount()
	one.decodeRedis()
	one.decodeKeepalived()
	one.decodeCheck()
	one.decodeFailover()
	one.decodeDrills()
	return one
}

func (p *draft) decodeVIPs() {
	p.vips = p.pair.children("vip", vipSchema)
	if len(p.pair.blocks["vip"]) == 0 {
		p.pair.d.errorAt(p.pair.header, "No VIP", "A pair is reached through its virtual IP: vip { address = \"192.168.1.220/32\" }.")
	}
	for _, s := range p.vips {
		s.require("address", `"192.168.1.220/32"`)
		text, ok := s.text("address")
		if !ok {
			continue
		}
		vip, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			vip, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			s.d.errorAt(s.at("address"), "Not an address", "The VIP is an IPv4 or IPv6 address with its prefix length: \"192.168.1.220/32\" or \"2001:db8::220/128\".")
			continue
		case unusable(vip.Addr()):
			s.d.errorAt(s.at("address"), "Address that no host can have", "The VIP is an ordinary address of the hosts' network, not a loopback, link-local, multicast or unspecified one.")
			continue
		case vip.Addr().Is4() && vip.Bits() < 31 && (vip.Addr() == vip.Masked().Addr() || vip.Addr() == broadcast(vip)):
			s.d.errorAt(s.at("address"), "Address that no host can have", "%s is the first or the last address of its network. Take one in between, or write /32.", vip.Addr())
			continue
		}
		p.VIPs = append(p.VIPs, vip)
	}
}

func unusable(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4In6() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func broadcast(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		bytes[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(bytes)
}

func (p *draft) decodeHosts() {
	d := p.pair.d
	shared := p.pair.child("ssh", sshSchema)
	if shared.has("address") {
		d.errorAt(shared.attrs["address"].NameRange, "Address for both hosts", "Where to connect differs by host: write it in the host's own block, host \"a\" { ssh { address = … } }.")
	}
	p.hosts = p.pair.children("host", hostSchema)
	if found := p.pair.blocks["host"]; len(found) > 2 {
		d.errorAt(found[2].DefRange(), "Too many hosts", "A pair is two hosts. For more, write more pairs.")
	} else if len(found) < 2 {
		d.errorAt(p.pair.header, "Too few hosts", "A pair is two hosts, the preferred primary first: host \"a\" { address = … } and host \"b\" { address = … }.")
	}
	for i, s := range p.hosts {
		own := s.child("ssh", sshSchema)
		p.hostSSH = append(p.hostSSH, own)
		if i < len(p.Hosts) {
			p.Hosts[i] = decodeHost(s, defaultPriorities[i])
			p.Hosts[i].SSH = decodeSSH(shared, own)
		}
	}
}

var interfaceName = regexp.MustCompile(`^[^\s/:"'{}#!]{1,15}$`)

func decodeHost(s *section, priority int) Host {
	s.d.checkName(s, "host", "paths and units")
	h := Host{Name: s.labels[0], Priority: priority, GARPMasterDelay: garpMasterDelay}
	s.require("address", `"192.168.1.218"`)
	if addr, ok := s.address("address", "Redis and VRRP use it, so it is an address and not a name: \"192.168.1.218\". A name for SSH goes into ssh { address = … }."); ok {
		h.Address = addr
		if unusable(addr) {
			s.d.errorAt(s.at("address"), "Address that no host can have", "A host's address is one that its peer and the clients reach, not a loopback, link-local, multicast or unspecified one.")
		}
	}
	h.Interface, _ = s.word("interface", interfaceName.MatchString, "Not an interface", "An interface's name has 1 to 15 characters, as in \"ip link\": \"eth0\". Leave it out for the one that holds the address.")
	if n, ok := s.integer("priority", 1, 254, " (VRRP, RFC 5798; 255 is for who owns the address)"); ok {
		h.Priority = n
	}
	if delay, ok := s.duration("garp_master_delay", time.Second, time.Hour, "; leave it out for 1s"); ok {
		h.GARPMasterDelay = delay
		if delay%time.Second != 0 {
			s.d.errorAt(s.at("garp_master_delay"), "Fraction of a second", "keepalived takes whole seconds here: %q.", durationText(delay.Round(time.Second)))
		}
	}
	return h
}

// address is an IP address without a prefix length.
func (s *section) address(name, rule string) (netip.Addr, bool) {
	text, ok := s.text(name)
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Zone() == "" {
		return addr, true
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		s.d.errorAt(s.at(name), "Prefix length on an address", "Write it without the prefix length: %q.", prefix.Addr())
	} else {
		s.d.errorAt(s.at(name), "Not an address", "%s", rule)
	}
	return netip.Addr{}, false
}

// decodeSSH lays a host's own ssh block over the pair's.
func decodeSSH(shared, own *section) SSH {
	var ssh SSH
	for _, s := range []*section{shared, own} {
		if v, ok := s.word("user", posixName.MatchString, "Not a user", userRule); ok {
			ssh.User = v
		}
		if v, ok := s.integer("port", 1, 65535, ""); ok {
			ssh.Port = v
		}
		if v, ok := s.oneOf("become", string(BecomeSudo), string(BecomeDoas), string(BecomeNone)); ok {
			ssh.Become = Become(v)
		}
		if v, ok := s.secret("become_password", true); ok {
			ssh.BecomePassword = v
		}
		if v, ok := s.text("identity_file"); ok {
			ssh.IdentityFile = v
		}
		if v, ok := s.text("known_hosts"); ok {
			ssh.KnownHosts = v
		}
		if s.has("jump") {
			ssh.Jump = s.texts("jump")
			if i := slices.IndexFunc(ssh.Jump, func(j string) bool { return !target.MatchString(j) }); i >= 0 {
				s.d.errorAt(s.elementAt("jump", i), "Not a jump host", "Each jump host is written as for ssh -J, [USER@]HOST[:PORT]: [\"bastion.example\"].")
			}
		}
	}
	if v, ok := own.word("address", target.MatchString, "Not a host", "Where to connect is a host name or an address: \"a.mgmt.example\". User and port have arguments of their own."); ok {
		ssh.Address = v
	}
	if ssh.Become == "" {
		ssh.Become = BecomeSudo
		if ssh.User == "root" {
			ssh.Become = BecomeNone
		}
	}
	if ssh.Become == BecomeNone && ssh.BecomePassword.IsSet() {
		ssh.BecomePassword = Secret{}
		// One host may do without what the pair says for both.
		at := own
		if !own.has("become_password") {
			at = shared
		}
		if at == own || !own.has("become") && !own.has("user") {
			at.d.errorAt(at.at("become_password"), "Password without a use", "With become = \"none\" (the default for user \"root\") nothing asks for become_password. Remove it, or write become = \"sudo\".")
		}
	}
	return ssh
}

var (
	posixName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	target    = regexp.MustCompile(`^[A-Za-z0-9_.@:%\[\]-]{1,255}$`)
)

const userRule = "A name begins with a lower-case letter or an underscore, then letters, digits, hyphens and underscores, 32 characters at most."

func (p *draft) decodeAccount() {
	s := p.pair.child("account", accountSchema)
	p.account = s
	p.Account = Account{User: defaultUser, Group: defaultGroup}
	if v, ok := s.word("user", posixName.MatchString, "Not a user", userRule); ok {
		p.Account.User = v
	}
	if v, ok := s.word("group", posixName.MatchString, "Not a group", userRule); ok {
		p.Account.Group = v
	}
	if p.Account.User == "root" {
		s.d.errorAt(s.at("user"), "Redis as root", "Redis runs under an account of its own, and its files belong to it: user = %q.", defaultUser)
	}
}

func (p *draft) decodeRedis() {
	s := p.pair.child("redis", redisSchema)
	p.redis = s
	r := Redis{Port: defaultPort}
	r.Prefix, _ = s.folder("prefix")
	if n, ok := s.integer("port", 1, 65535, ""); ok {
		r.Port = n
		if n < 1024 {
			s.d.errorAt(s.at("port"), "Port for root only", "Redis runs without root's rights, which ports below 1024 need. Take a higher one: port = %d.", defaultPort)
		}
	}
	r.Password, _ = s.secret("password", false)
	r.Install, p.redisSource = s.install(redisSourceSchema, "redis")
	r.Config = s.config()
	p.Redis = r
}

func (p *draft) decodeKeepalived() {
	s := p.pair.child("keepalived", keepalivedSchema)
	p.keepalived = s
	k := Keepalived{VirtualRouterID: defaultRouterID, Unicast: true, SyslogFacility: defaultFacility}
	k.Prefix, _ = s.folder("prefix")
	k.Install, p.keepalivedSource = s.install(keepalivedSourceSchema, "keepalived")
	if n, ok := s.integer("virtual_router_id", 1, 255, " (VRRP, RFC 5798)"); ok {
		k.VirtualRouterID = n
	}
	k.AdvertInterval = 100 * time.Millisecond
	if v, ok := parseVersion(k.Install.Version()); ok && v.before(version{1, 2, 20}) {
		k.AdvertInterval = time.Second
	}
	if interval, ok := s.duration("advert_interval", 10*time.Millisecond, 255*time.Second, ""); ok {
		k.AdvertInterval = interval
		switch {
		case interval > time.Second && interval%time.Second != 0:
			s.d.errorAt(s.at("advert_interval"), "Fraction of a second", "An advert interval above a second is whole seconds: %q. Below, it is any number of ms from 10.", durationText(interval.Round(time.Second)))
		case interval%(10*time.Millisecond) != 0:
			s.d.errorAt(s.at("advert_interval"), "Advert interval too fine", "VRRP version 3 counts in hundredths of a second (RFC 5798): %q.", durationText(interval.Round(10*time.Millisecond)))
		}
	}
	if secret, ok := s.secret("auth_password", false); ok {
		k.AuthPassword = secret
		switch text := secret.Reveal(); {
		case len(text) > 8:
			s.d.errorAt(s.at("auth_password"), "auth_password too long", "VRRP version 2 carries 8 characters, and keepalived silently cuts the rest. Take one of at most 8.")
		case !authText.MatchString(text):
			s.d.errorAt(s.at("auth_password"), "Character that keepalived.conf cannot hold", "auth_password is made of letters, digits and . , : ; + - _ = / @ %% ^ * ~ ( ) [ ] < > | ?")
		}
	}
	if v, ok := s.boolean("unicast"); ok {
		k.Unicast = v
	}
	if v, ok := s.oneOf("syslog_facility", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"); ok {
		k.SyslogFacility = v
	}
	p.Keepalived = k
}

var authText = regexp.MustCompile(`^[A-Za-z0-9.,:;+_=/@%^*~()\[\]<>|?-]*$`)

func (p *draft) decodeCheck() {
	s := p.pair.child("check", checkSchema)
	p.check = s
	c := Check{Interval: time.Second, Timeout: defaultTimeout, Retries: defaultRetries, RetryDelay: defaultRetryDelay}
	// A distribution's keepalived is of an unknown version, and fractions of a
	// second would keep an older one from starting.
	if v, ok := parseVersion(p.Keepalived.Install.Version()); ok && !v.before(version{2, 3, 2}) {
		c.Interval = 200 * time.Millisecond
	}
	if v, ok := s.duration("interval", 50*time.Millisecond, time.Hour, ": each check is a process or two"); ok {
		c.Interval = v
	}
	if v, ok := s.duration("timeout", 10*time.Millisecond, time.Minute, ""); ok {
		c.Timeout = v
		if v > 10*time.Second {
			s.d.warnAt(s.at("timeout"), "Long check timeout", "A Redis that hangs goes unnoticed for at least %s. 1s is long for a PING.", durationText(v))
		}
	}
	if v, ok := s.integer("retries", 0, 10, ""); ok {
		c.Retries = v
	}
	if v, ok := s.duration("retry_delay", 0, time.Minute, ""); ok {
		c.RetryDelay = v
	}
	p.Check = c
}

func (p *draft) decodeFailover() {
	s := p.pair.child("failover", failoverSchema)
	p.failover = s
	f := Failover{Handlers: HandlersNode, SyncTimeout: defaultSyncTimeout, Durability: DurabilityBalanced}
	if v, ok := s.oneOf("handlers", string(HandlersNode), string(HandlersScripts)); ok {
		f.Handlers = Handlers(v)
	}
	f.Recover = RecoverAuto
	if f.Handlers == HandlersScripts {
		f.Recover = RecoverManual
	}
	if v, ok := s.oneOf("recover", string(RecoverAuto), string(RecoverManual)); ok {
		if Recover(v) == RecoverAuto && f.Handlers == HandlersScripts {
			s.d.errorAt(s.at("recover"), "Scripts do not recover by themselves",
				"With handlers = \"scripts\" a Redis that died stays down, as in the written procedure, until `hapair recover` is run. Write recover = \"manual\", or handlers = \"node\".")
		}
		f.Recover = Recover(v)
	}
	if v, ok := s.duration("sync_timeout", 100*time.Millisecond, 5*time.Minute, ": it is the longest that a role change waits for the last data"); ok {
		f.SyncTimeout = v
	}
	if v, ok := s.address("gateway", "The gateway is an address that a host reaches only while its network is there: \"192.168.1.1\"."); ok {
		f.Gateway = v
	}
	if v, ok := s.oneOf("durability", string(DurabilityBalanced), string(DurabilityAvailable), string(DurabilityStrict)); ok {
		f.Durability = Durability(v)
	}
	p.Failover = f
}

// defaultPrefixes gives every pair without a prefix of its own the usual one,
// with the pair's name at the end where pairs share a host.
func defaultPrefixes(drafts []*draft) {
	count := map[netip.Addr]int{}
	for _, p := range drafts {
		for _, h := range p.Hosts {
			count[h.Address]++
		}
	}
	for _, p := range drafts {
		suffix := ""
		if count[p.Hosts[0].Address] > 1 || count[p.Hosts[1].Address] > 1 {
			suffix = "-" + p.Name
		}
		if p.Redis.Prefix == "" {
			p.Redis.Prefix = defaultRedisPrefix + suffix
		}
		if p.Keepalived.Prefix == "" {
			p.Keepalived.Prefix = defaultKeepalivedPrefix + suffix
		}
	}
}
