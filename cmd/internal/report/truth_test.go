package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hapair/plan/drill"
)

// Every figure that the page or the JUnit file shows is in the results, or a sum
// of what is in them; only scales and the texts of the template have others.
func TestEveryFigureIsInTheData(t *testing.T) {
	for name, r := range fixtures() {
		clean, err := r.cleaned()
		if err != nil {
			t.Fatal(err)
		}
		known := figures{}
		known.walk(reflect.ValueOf(clean))
		known.sums(clean)
		for what, text := range map[string]string{
			HTMLName:  shownText(t, written(t, (*Report).writeHTML, r)),
			JUnitName: shownText(t, written(t, (*Report).writeJUnit, r)),
		} {
			for _, figure := range figuresIn(text) {
				if !known[figure] {
					t.Errorf("%s: %s shows %q, which is not in the data", name, what, figure)
				}
			}
			if n := len(figuresIn(text)); n < 10 {
				t.Errorf("%s: %s shows %d figures", name, what, n)
			}
		}
	}
}

// figures are those that may be shown.
type figures map[string]bool

func (f figures) add(text string) {
	for _, one := range figuresIn(text) {
		f[one] = true
	}
}

func (f figures) walk(v reflect.Value) {
	switch value := v.Interface().(type) {
	case drill.Millis:
		f.add(value.String())
		f.add((-value).String())
		f.add(span(value))
		f.add(fmt.Sprintf("%.3f", value.Duration().Seconds()))                                 // of JUnit
		f.add(strconv.FormatFloat(float64(value.Duration().Microseconds())/1000, 'f', -1, 64)) // of its properties
		return
	case time.Time:
		f.add(value.Format("2 January 2006, 15:04:05"))
		f.add(value.Format("2006-01-02 15:04:05"))
		return
	case drill.Prediction:
		f.add(value.String())
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			f.walk(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.walk(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.walk(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			f.walk(key)
			f.walk(v.MapIndex(key))
		}
	case reflect.String:
		f.add(v.String())
	case reflect.Int, reflect.Int64:
		f.add(fmt.Sprint(v.Int()))
		f.add(grouped(int(v.Int())))
	case reflect.Float64:
		f.add(grouped(int(v.Float() + 0.5)))
	}
}

// sums are what a reader could count.
func (f figures) sums(r *Report) {
	count := map[drill.Verdict]int{}
	var lost, acknowledged int
	for i, one := range r.Results {
		f.add(fmt.Sprint(i + 1)) // runs are numbered
		count[one.Verdict]++
		f.add(fmt.Sprint(count[one.Verdict]))
		if one.Ledger != nil {
			lost, acknowledged = lost+one.Ledger.Lost, acknowledged+one.Ledger.Acknowledged
		}
	}
	f.add(grouped(lost))
	f.add(grouped(acknowledged))
}

var (
	rangeOf  = regexp.MustCompile(`(\d[\d.]*)–(\d[\d.]*) (ms|s)`)
	figureOf = regexp.MustCompile(`(?:^|[^\w.,])(\d+(?:[.,]\d+)*(?: (?:ms|s|min|h|%)\b)?)`)
)

// figuresIn are the numbers of a text, with their units.
func figuresIn(text string) (all []string) {
	text = rangeOf.ReplaceAllString(text, "$1 $3, $2 $3")
	for at := figureOf.FindStringSubmatchIndex(text); at != nil; at = figureOf.FindStringSubmatchIndex(text) {
		all = append(all, text[at[2]:at[3]])
		text = text[at[3]:]
	}
	return all
}

// shownText is all that stands between the tags of a page, and in attributes
// that are read, but for style and the labels of scales.
func shownText(t *testing.T, page string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var b strings.Builder
	var skipped []bool // of the elements that are open
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			class := ""
			for _, a := range token.Attr {
				switch a.Name.Local {
				case "class":
					class = a.Value
				case "value", "message", "time", "tests", "failures", "errors":
					b.WriteString(" | " + a.Value)
				}
			}
			inside := len(skipped) > 0 && skipped[len(skipped)-1]
			skipped = append(skipped, inside || token.Name.Local == "style" || class == "axis" || class == "lane")
			b.WriteString(" | ")
		case xml.EndElement:
			skipped = skipped[:len(skipped)-1]
			b.WriteString(" | ")
		case xml.CharData:
			if len(skipped) > 0 && !skipped[len(skipped)-1] {
				b.Write(token)
			}
		}
	}
}
