package plan

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"path"
	"reflect"
	"testing"
	"time"

	"hapair/plan/spec"
	"hapair/remote/node"
)

// What templates write for hapair-node is what it reads: every setting, and no
// other.
func TestNodeReadsItsSettings(t *testing.T) {
	p := testPair()
	p.Failover.Handlers, p.Failover.Gateway = spec.HandlersNode, netip.MustParseAddr("192.168.1.1")
	p.Redis.Password = spec.NewSecret("hunter2")
	files, err := Render(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if path.Base(f.Path) != "pair.json" {
			continue
		}
		if bytes.Contains(f.Content, []byte("hunter2")) {
			t.Error("the password is in it")
		}
		var s node.Settings
		strict := json.NewDecoder(bytes.NewReader(f.Content))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&s); err != nil {
			t.Fatalf("%v\n%s", err, f.Content)
		}
		v := reflect.ValueOf(s)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not set", v.Type().Field(i).Name)
			}
		}
		if time.Duration(s.Check.Timeout) != p.Check.Timeout || time.Duration(s.Check.RetryDelay) != p.Check.RetryDelay || s.Check.Retries != p.Check.Retries {
			t.Errorf("the check is %+v, want %+v", s.Check, p.Check)
		}
		return
	}
	t.Error("there is no pair.json")
}
