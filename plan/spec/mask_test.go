package spec

import (
	"strings"
	"testing"
)

// What may be a secret is never shown, and what is none stays readable.
func TestMask(t *testing.T) {
	for src, want := range map[string]string{
		`password = "hunter2"`:                         `password = "*******"`,
		`password = "hünter2" # ü`:                     `password = "*******" # ü`,
		`password = hunter2`:                           `password = *******`,
		`password = 12345`:                             `password = *****`,
		`password = var.password`:                      `password = var.password`,
		`password = trimspace(file("redis.txt"))`:      `password = trimspace(file("redis.txt"))`,
		`password = join("x", [file("a"), "hunter2"])`: `password = join("*", [file("a"), "*******"])`,
		`password = "${var.x}hunter2"`:                 `password = "${var.x}*******"`,
		"password = [\n  \"hunter2\",\n]\nport = 1":    "password = [\n  \"*******\",\n]\nport = 1",
		"password = <<EOT\nhunter2\nEOT\nport = 1":     "password = <<EOT\n*******\nEOT\nport = 1",
		`config = { requirepass = "hunter2", a = 1 }`:  `config = { requirepass = "*******", * = * }`,
		`config = { "masterauth" : "hunter2" }`:        `config = { "masterauth" : "*******" }`,
		`password = "hunter2`:                          `password = "*******`,
		`urls = ["https://me:hunter2@host/x"]`:         `urls = ["https://**********@host/x"]`,
		`license = "hunter2"`:                          `license = "*******"`,
		"port = 6379\r\nuser = \"x\"\r\n":              "port = 6379 \nuser = \"x\" \n",
		"user = \"\x1b[31m\"":                          `user = "?[31m"`,
	} {
		d := newDecoder()
		d.variables["license"] = &variable{sensitive: true}
		if got := strings.Join(maskedLines([]byte(src), "x.hcl", d.isSecretName, nil), "\n"); got != want {
			t.Errorf("\n%s\nis shown as\n%s\nwant\n%s", src, got, want)
		}
	}
}
