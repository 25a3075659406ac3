package node

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// Settings are those of one host of a pair. They lie in a file beside the hooks,
// which this program finds by its own place.
type Settings struct {
	Pair      string         `json:"pair"`
	Name      string         `json:"name"`      // this host's
	PeerName  string         `json:"peer_name"` //
	Self      netip.Addr     `json:"self"`      // what the peer's Redis follows
	Peer      netip.Addr     `json:"peer"`      //
	VIPs      []netip.Prefix `json:"vips"`      // the first tells where all are
	Interface string         `json:"interface"` // that they go to
	Port      int            `json:"port"`      // of Redis, on both hosts
	Guard     string         `json:"guard"`     // the nftables table with the gate

	Auth      string   `json:"auth,omitempty"` // the file with AUTH and the password; "": there is none
	Data      string   `json:"data"`           // Redis' folder
	DataFiles []string `json:"data_files"`     // in it
	RankFile  string   `json:"rank_file"`
	User      string   `json:"user"` // owns them
	Group     string   `json:"group"`
	Run       string   `json:"run"` // what is so in this boot
	StateLog  string   `json:"state_log"`

	RedisUnit      string   `json:"redis_unit"`
	RedisPID       string   `json:"redis_pid"` // its pid file
	KeepalivedUnit string   `json:"keepalived_unit"`
	KeepalivedPIDs []string `json:"keepalived_pids"` // pid files that a killed one leaves

	Check struct {
		Timeout    Duration `json:"timeout"`
		Retries    int      `json:"retries"`
		RetryDelay Duration `json:"retry_delay"`
	} `json:"check"`
	SyncTimeout Duration `json:"sync_timeout"` // ceiling of a role change
	// How long the peer can take to become primary after this host let go of the
	// VIP: when the peer was handed all the data before, and when it was not.
	HandedTimeout Duration   `json:"handed_timeout"`
	FollowTimeout Duration   `json:"follow_timeout"`
	StaleAfter    Duration   `json:"stale_after"`
	Gateway       netip.Addr `json:"gateway,omitzero"`
	Durability    string     `json:"durability"`

	CanPause    bool `json:"can_pause"`     // CLIENT PAUSE … WRITE is of Redis 6.2
	CanKillType bool `json:"can_kill_type"` // CLIENT KILL TYPE is of 2.8.12
}

// Duration is written as "200ms".
type Duration time.Duration

func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ReadSettings reads the settings in a file.
func ReadSettings(path string) (*Settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &Settings{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// config is what Decide needs of them.
func (s *Settings) config() Config {
	return Config{
		SelfAddr:   s.Self.String(),
		PeerAddr:   s.Peer.String(),
		PeerName:   s.PeerName,
		Paired:     s.Durability == "balanced" && s.Gateway.IsValid(),
		Strict:     s.Durability == "strict",
		StaleAfter: time.Duration(s.StaleAfter),
	}
}
