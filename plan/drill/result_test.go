package drill

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGravestVerdict(t *testing.T) {
	var all []*Result
	for _, v := range []Verdict{Passed, Inconclusive, Deviated, Failed} {
		all = append(all, &Result{Verdict: v})
		if got := Gravest(all); got != v {
			t.Errorf("%d results: %s, want %s", len(all), got, v)
		}
	}
}

// However early a drill ends: a list without entries is [] in JSON, and null is
// what is not known.
func TestListsAreNeverNull(t *testing.T) {
	for name, set := range map[string]func(*sim){
		"it passes":            func(*sim) {},
		"the pair is not well": func(s *sim) { s.servers[1].linkUp = false },
		"another one runs":     func(s *sim) { s.locked = true },
		"the fault is mute":    func(s *sim) { s.mute = true },
		"recovery breaks":      func(s *sim) { s.broken = errors.New("no") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim()
			set(s)
			r, _ := runOn(t, s, t.Context(), "kill-redis")
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range strings.Split(string(text), ",") {
				if strings.Contains(field, ":null") && !strings.Contains(field, `"lag_bytes"`) {
					t.Errorf("%s, %s: it has %s", name, r.Verdict, field)
				}
			}
		})
	}
}

// A remark on the prediction is made once a drill has come to its end.
func TestMismatch(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*sim)
		want bool
	}{
		"as predicted": {func(*sim) {}, false},
		"much longer":  {func(s *sim) { s.failover = 8 * time.Second }, true},
		"it failed":    {func(s *sim) { s.failover, s.broken = 8*time.Second, errors.New("no") }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim()
			c.set(s)
			r, _ := runOn(t, s, t.Context(), "kill-redis")
			if (r.Mismatch != nil) != c.want {
				t.Errorf("%s, %s: %s, predicted %s: %+v", name, r.Verdict, r.Outage(Eager), r.Predicted, r.Mismatch)
			}
		})
	}
}
