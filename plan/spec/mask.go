package spec

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var secretName = regexp.MustCompile(`(?i)pass|auth|secret|token|credential`)

// urlLogin is what stands between the slashes and the host of a URL.
var urlLogin = regexp.MustCompile(`://[^/@\s"]+@`)

// isSecretName reports whether what is assigned to this name may be a secret:
// because of the name itself, or because a variable of it is sensitive.
func (d *decoder) isSecretName(name string) bool {
	v := d.variables[name]
	return secretName.MatchString(name) || v != nil && v.sensitive
}

// maskedLines are the lines of a source in which every literal that may be a
// secret is asterisks: diagnostics show lines, and they end in the logs of CI.
// It works on tokens, because a line that does not parse is shown too.
func maskedLines(src []byte, name string, isSecret func(string) bool, body *hclsyntax.Body) []string {
	masked := slices.Clone(src)
	mask := func(r hcl.Range) {
		for i := r.Start.Byte; i < r.End.Byte && i < len(masked); i++ {
			if masked[i] != '\n' {
				masked[i] = 0 // one byte for one, so that later ranges hold
			}
		}
	}

	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	for i := 0; i+1 < len(tokens); i++ {
		key := tokens[i]
		if key.Type == hclsyntax.TokenQuotedLit && tokens[i+1].Type == hclsyntax.TokenCQuote {
			i++ // a map's key in quotes
		}
		if key.Type != hclsyntax.TokenIdent && key.Type != hclsyntax.TokenQuotedLit ||
			!isSecret(string(key.Bytes)) || i+1 >= len(tokens) || !assigns(tokens[i+1]) {
			continue
		}
		depth, reference := 0, false
		path := 0 // the depth inside file(…), whose argument is no secret
		for i += 2; i < len(tokens) && (depth > 0 || tokens[i].Type != hclsyntax.TokenNewline); i++ {
			token := tokens[i]
			switch token.Type {
			case hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp:
				depth++
			case hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
				if depth--; depth < path {
					path = 0
				}
			case hclsyntax.TokenIdent:
				// A bare word may be a secret that lacks its quotes.
				if tokens[i-1].Type != hclsyntax.TokenDot {
					text := string(token.Bytes)
					reference = text == "var" || text == "local" || tokens[min(i+1, len(tokens)-1)].Type == hclsyntax.TokenOParen
				}
				if !reference {
					mask(token.Range)
				}
				if string(token.Bytes) == "file" && path == 0 {
					path = depth + 1
				}
			default:
				if literal(token) && path == 0 {
					mask(token.Range)
				}
			}
		}
	}
	if body != nil {
		for _, block := range body.Blocks {
			if block.Type != "variable" || !sensitive(block.Body) || block.Body.Attributes["default"] == nil {
				continue
			}
			def := block.Body.Attributes["default"].Expr.Range()
			for _, token := range tokens {
				if literal(token) && def.ContainsPos(token.Range.Start) {
					mask(token.Range)
				}
			}
		}
	}

	// Now back from bytes to characters, so that columns hold as well.
	var b strings.Builder
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if masked[i] == 0 && src[i] != 0 {
			b.WriteByte('*')
		} else if r == '\r' {
			b.WriteByte(' ') // before the line break of a file from Windows
		} else if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' {
			b.WriteByte('?')
		} else {
			b.Write(src[i : i+size])
		}
		i += size
	}
	text := urlLogin.ReplaceAllStringFunc(b.String(), func(login string) string {
		return "://" + strings.Repeat("*", utf8.RuneCountInString(login)-4) + "@"
	})
	return strings.Split(text, "\n")
}

func assigns(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenEqual || t.Type == hclsyntax.TokenColon
}

func literal(t hclsyntax.Token) bool {
	switch t.Type {
	case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit,
		hclsyntax.TokenInvalid, hclsyntax.TokenBadUTF8:
		return len(bytes.TrimSpace(t.Bytes)) > 0
	}
	return false
}

// sensitive reports whether a variable block says sensitive = true, or
// something that cannot be known yet.
func sensitive(body *hclsyntax.Body) bool {
	attr := body.Attributes["sensitive"]
	if attr == nil {
		return false
	}
	v, diags := attr.Expr.Value(nil)
	return diags.HasErrors() || !v.IsKnown() || v.IsNull() || !v.RawEquals(cty.False)
}
