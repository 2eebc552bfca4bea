package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"siskin/model/gguf"
)

// maxName is the longest file name in bytes; file systems take 255, of which side files need some.
const maxName = 200

// source is where a file comes from.
type source struct {
	text string   // for errors: without password and query
	url  *url.URL // nil for a local path
	path string   // of a local file
	hub  bool     // url is on the hub, whose headers are trusted for the sum
	name string   // in the folder
	sum  string   // expected SHA-256 in lower case, or empty
}

// parseSource understands what Pull documents. Errors are of kind ErrSource or ErrName.
func parseSource(text string, opt Options) (source, error) {
	body, sum, err := cutSum(text, opt.SHA256)
	if err != nil {
		return source{}, err
	}
	src := source{text: body, sum: sum}
	scheme, rest, hasScheme := strings.Cut(body, "://")
	switch {
	case strings.HasPrefix(body, "hf:"):
		err = src.parseHub(strings.TrimPrefix(body, "hf:"), opt.HubURL)
	case hasScheme && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")):
		err = src.parseURL(body)
	case hasScheme:
		err = &Error{scheme + "://" + clip(rest), "is no address that can be fetched: give https://…, hf:OWNER/REPO/FILE.gguf or a path", ErrSource}
	case body == "":
		err = &Error{"source", "is empty: give hf:OWNER/REPO/FILE.gguf, https://… or a path", ErrSource}
	default:
		src.path, src.name = body, filepath.Base(body)
	}
	if err != nil {
		return source{}, err
	}
	if opt.Name != "" {
		src.name = opt.Name
	}
	return src, checkName(src.name)
}

// Parts are the sources of all parts of a split model, from that of any part, or the source alone. Errors are of kind ErrSource: a
// split model with one name, or one sum.
func Parts(text string, opt Options) ([]string, error) {
	body, sum, err := cutSum(text, opt.SHA256)
	if err != nil {
		return nil, err
	}
	parts := gguf.PartNames(body)
	if parts == nil {
		return []string{text}, nil
	}
	if sum != "" || opt.Name != "" {
		const rule = "is one of %d parts, which keep their names and have no sum together: leave out name and SHA-256"
		return nil, &Error{clip(text), fmt.Sprintf(rule, len(parts)), ErrSource}
	}
	return parts, nil
}

// cutSum splits #sha256=HEX off a source and settles it with the option.
func cutSum(text, option string) (body, sum string, err error) {
	body, frag, ok := strings.Cut(text, "#")
	if !strings.HasPrefix(text, "hf:") && !strings.Contains(text, "://") {
		// In a path '#' alone is a letter like others.
		if body, frag, ok = strings.Cut(text, "#sha256="); ok {
			frag = "sha256=" + frag
		}
	}
	sum = option
	if ok {
		value, isSum := strings.CutPrefix(frag, "sha256=")
		if !isSum {
			return "", "", &Error{clip(text), "has something behind '#' that is not sha256=HEX", ErrSource}
		}
		if option != "" && !strings.EqualFold(option, value) {
			return "", "", &Error{clip(text), "names another SHA-256 than the option", ErrSource}
		}
		sum = value
	}
	if sum == "" {
		return body, "", nil
	}
	if !isSum(sum) {
		return "", "", &Error{clip(text), fmt.Sprintf("wants the SHA-256 %q, which is not 64 hexadecimal digits", clip(sum)), ErrSource}
	}
	return body, strings.ToLower(sum), nil
}

// isSum reports whether s is 64 hexadecimal digits.
func isSum(s string) bool {
	_, err := hex.DecodeString(s)
	return len(s) == 64 && err == nil
}

// parseHub understands OWNER/REPO/FILE, where FILE may be in folders.
func (s *source) parseHub(rest, hub string) error {
	const form = "is not of the form hf:OWNER/REPO/FILE.gguf"
	parts := strings.Split(rest, "/")
	if len(parts) < 3 {
		return &Error{clip(s.text), form, ErrSource}
	}
	for i, p := range parts {
		if p == "" || p == "." || p == ".." || (i < 2 && strings.Trim(p, repoLetters) != "") {
			return &Error{clip(s.text), fmt.Sprintf("%s: the part %q", form, clip(p)), ErrSource}
		}
	}
	base, err := url.Parse(hub)
	if err != nil || base.Host == "" {
		return &Error{clip(hub), "is not the address of a hub", ErrSource}
	}
	s.url = base.JoinPath(append(append(parts[:2:2], "resolve", "main"), escape(parts[2:])...)...)
	s.hub, s.name = true, parts[len(parts)-1]
	return s.allowed(s.url)
}

const repoLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// escape makes path segments safe to join to an address.
func escape(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = url.PathEscape(p)
	}
	return out
}

func (s *source) parseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return &Error{clip(text), "is not a valid address", ErrSource}
	}
	u.Fragment = ""
	s.url, s.name = u, path.Base(u.Path)
	s.text = plain(u)
	return s.allowed(u)
}

// allowed refuses unencrypted transport except within this machine.
func (s *source) allowed(u *url.URL) error {
	if u.Scheme == "https" || (u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil
	}
	return &Error{clip(s.text), "goes over unencrypted http, where anybody on the way could change the file: use https", ErrSource}
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// plain is the address without what may be secret: user, query, fragment.
func plain(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return c.String()
}

// address tells one address from another in a file that others may read: plain, with a digest of the query that may hold
// secrets.
func address(u *url.URL) string {
	if u.RawQuery == "" {
		return plain(u)
	}
	sum := sha256.Sum256([]byte(u.RawQuery))
	return plain(u) + "?" + hex.EncodeToString(sum[:8])
}

// checkName refuses names that would leave the folder, hide, or clash with side files.
func checkName(name string) error {
	bad := func(why string) error {
		return &Error{fmt.Sprintf("file name %q", clip(name)), why + ": choose a name like model.gguf", ErrName}
	}
	switch {
	case !strings.EqualFold(filepath.Ext(name), ".gguf") || len(name) == len(".gguf"):
		return bad("does not end in .gguf")
	case len(name) > maxName:
		return bad(fmt.Sprintf("is longer than %d bytes", maxName))
	case name[0] == '.' || name[0] == '-':
		return bad(fmt.Sprintf("begins with %q", name[:1]))
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\:*?"<>|`, r) {
			return bad(fmt.Sprintf("contains %q", r))
		}
	}
	return nil
}

// clip shortens text from outside for an error.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
