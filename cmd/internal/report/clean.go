package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// cleaned is r with texts that can be shown anywhere: what hosts say may hold
// characters that steer terminals, turn text around or break XML. Each of them
// becomes U+FFFD.
func (r *Report) cleaned() (*Report, error) {
	var b bytes.Buffer
	if err := r.writeJSON(&b); err != nil {
		return nil, err
	}
	out := &Report{}
	if err := json.Unmarshal(b.Bytes(), out); err != nil {
		return nil, fmt.Errorf("read it back: %w", err)
	}
	cleanse(reflect.ValueOf(out))
	return out, nil
}

// cleanse cleans every text that v leads to. There are no cycles.
func cleanse(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			cleanse(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				cleanse(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			cleanse(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if clean := printable(key.String()); clean != key.String() {
				value := v.MapIndex(key)
				v.SetMapIndex(key, reflect.Value{})
				v.SetMapIndex(reflect.ValueOf(clean), value)
			}
		}
	case reflect.String:
		v.SetString(printable(v.String()))
	}
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
