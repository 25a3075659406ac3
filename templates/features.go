package templates

import "fmt"

// Feature is something that only some versions of keepalived have.
type Feature struct {
	Name  string
	Since Version
}

// First seen in: keepalived's ChangeLog and release notes.
var (
	// VRRPv3 is what adverts more often than every second take.
	VRRPv3 = Feature{"VRRP version 3 (adverts in fractions of a second)", Version{1, 2, 20}}
	// ScriptSecurity is script_user and enable_script_security.
	ScriptSecurity = Feature{"script security", Version{1, 3, 0}}
	// ConfigTest is keepalived -t. Only its exit code 0 is good.
	ConfigTest = Feature{"the configuration test -t", Version{2, 0, 4}}
	// TrackFile is a file whose number keepalived watches, without polling. Its
	// block was called vrrp_track_file before TrackFileBlock.
	TrackFile      = Feature{"track_file", Version{2, 0, 0}}
	TrackFileBlock = Feature{"the block track_file", Version{2, 1, 0}}
	// TimerExpiredBackup makes a host that was frozen while it was MASTER come
	// back as BACKUP: another may have taken over.
	TimerExpiredBackup = Feature{"timer_expired_backup", Version{2, 2, 8}}
	// FractionalCheck is a vrrp_script interval below one second.
	FractionalCheck = Feature{"check intervals in fractions of a second", Version{2, 3, 2}}
)

// The oldest versions whose configuration this package knows.
var (
	oldestKeepalived = Version{1, 2, 10}
	oldestServer     = map[Product]Version{
		ProductRedis:  {2, 8, 0},
		ProductValkey: {7, 2, 0},
	}
)

// Has reports whether a keepalived of version v has the feature.
func (v Version) Has(f Feature) bool { return !v.Less(f.Since) }

func (v Version) need(f Feature, what string) error {
	if v.Has(f) {
		return nil
	}
	return fmt.Errorf("%s needs %s, which keepalived has since %s; this is %s", what, f.Name, f.Since, v)
}
