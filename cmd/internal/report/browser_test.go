package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"hapair/plan/drill"
)

// inspect.js looks at a page as it is laid out, for what nobody should see.
//
//go:embed testdata/inspect.js
var inspect string

// TestBrowser looks at reports in a real browser: in both colour schemes, wide
// and narrow.
func TestBrowser(t *testing.T) {
	browser := startChromium(t)
	for name, r := range fixtures() {
		dir := t.TempDir()
		if _, err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
		url := "file://" + filepath.Join(dir, HTMLName)
		page := browser.newTab()
		var papers []string
		for _, width := range []int{1400, 400} {
			for _, colours := range []string{"light", "dark"} {
				where := fmt.Sprintf("%s, %d px, %s", name, width, colours)
				page.emulate(width, colours)
				page.open(url)
				var seen struct {
					Paper    string   // the colour of the page
					Overflow []string // what stands beyond the edge
					Faint    []string // text with little contrast
					Covered  []string // labels of marks that lie over another
				}
				page.eval(inspect, &seen)
				papers = append(papers, seen.Paper)
				for _, bad := range [][]string{seen.Overflow, seen.Faint, seen.Covered} {
					for _, one := range bad {
						t.Errorf("%s: %s", where, one)
					}
				}
				checkGeometry(t, where, page, r)
			}
		}
		if papers[0] != papers[2] || papers[1] != papers[3] || papers[0] == papers[1] {
			t.Errorf("%s: the pages are %v", name, papers)
		}
		if pdf := page.data("Page.printToPDF", map[string]any{"preferCSSPageSize": true, "printBackground": true}); !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Errorf("%s: printed, it is %.20q", name, pdf)
		}
		for _, method := range []string{"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"} {
			for _, entry := range page.heard(method) {
				t.Errorf("%s: the console has %s", name, entry)
			}
		}
		for _, request := range page.heard("Network.requestWillBeSent") {
			if !strings.Contains(request, `"url":"`+url+`"`) {
				t.Errorf("%s: the page asked for %s", name, request)
			}
		}
		if name == "passed" {
			checkNothingGoesOut(t, page)
		}
	}
}

// checkNothingGoesOut tries to make the page ask for something.
func checkNothingGoesOut(t *testing.T, page *tab) {
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer server.Close()
	var blocked string
	page.eval(fmt.Sprintf(`new Promise(done => {
		document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective))
		const image = new Image()
		image.onload = image.onerror = () => done("nothing")
		image.src = %q
		document.body.append(image)
	})`, server.URL+"/image.png"), &blocked)
	if blocked != "img-src" || asked.Load() {
		t.Errorf("an image of another place is blocked by %q; asked for: %v", blocked, asked.Load())
	}
}

// checkGeometry compares the bands of all whole figures, as the browser has laid
// them out, with what the results say.
func checkGeometry(t *testing.T, where string, page *tab, r *Report) {
	var got map[string][]struct{ X, Width float64 } // in shares of the plot
	page.eval(`Object.fromEntries([...document.querySelectorAll("figure > svg[aria-labelledby]")].map(svg => {
		for (let e = svg; e; e = e.parentElement) if (e.localName == "details") e.open = true
		const plot = svg.getBoundingClientRect()
		return [svg.getAttribute("aria-labelledby"), [...svg.querySelectorAll(".primary, .replica, .MASTER, .BACKUP, .stopped, .held, .yes, .up, .down")].filter(e => e.localName == "rect").map(e => {
			const box = e.getBoundingClientRect()
			return {x: (box.x - plot.x) / plot.width, width: box.width / plot.width}
		})]
	}))`, &got)
	for d, runs := range r.runs() {
		for n, one := range runs {
			if one.Steady == nil {
				continue
			}
			from, to := one.Steady.From, one.Steady.To
			for _, p := range []*drill.Phase{one.Faulted, one.Recovery} {
				if p != nil {
					to = p.To
				}
			}
			if one.Faulted != nil {
				from = max(from, ms(-1000))
			}
			at := func(m drill.Millis) float64 { return float64(min(max(m, from), to)-from) / float64(to-from) }
			var want [][2]float64
			for _, track := range one.Tracks {
				for _, states := range [][]drill.Band{track.Redis, track.VRRP, track.VIP, track.Writable, track.Link} {
					for i, s := range states {
						end := to
						if i+1 < len(states) {
							end = states[i+1].From
						}
						if strings.Contains(" primary replica MASTER BACKUP stopped held yes up down ", " "+s.State+" ") && end >= from && s.From <= to {
							want = append(want, [2]float64{at(s.From), at(end) - at(s.From)})
						}
					}
				}
			}
			id := fmt.Sprintf("drill-%d-%d-whole", d+1, n+1)
			if len(got[id]) != len(want) || len(want) == 0 {
				t.Errorf("%s: %s has %d bands, want %d", where, id, len(got[id]), len(want))
				continue
			}
			const near = 0.002 // what is too thin to be seen is drawn wider
			for i, b := range got[id] {
				if math.Abs(b.X-want[i][0]) > near || math.Abs(b.Width-want[i][1]) > near {
					t.Errorf("%s: band %d of %s is at %.4f, %.4f wide; want %.4f", where, i, id, b.X, b.Width, want[i])
				}
			}
		}
	}
}
