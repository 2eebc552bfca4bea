package embedded

import (
	"bufio"
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Users are the names and passwords of a file: a line each,
//
//	name:pbkdf2-sha256$ROUNDS$SALT$HASH
//
// with salt and hash in base64 (PBKDF2 of RFC 8018 with HMAC-SHA-256). Empty lines and lines with # are comments.
type Users struct {
	hashes map[string]hashed
}

type hashed struct {
	rounds     int
	salt, hash []byte
}

const (
	hashScheme = "pbkdf2-sha256"
	// hashRounds is a compromise: OWASP wants 600,000 (Password Storage Cheat Sheet, 2025), which takes a Cortex-A53 seconds for
	// each client that connects; guessing is also bounded by the time that a connection takes.
	hashRounds = 100_000
	maxRounds  = 10_000_000
	saltBytes  = 16
)

// ErrUsers is wrapped when a file of users makes no sense.
var ErrUsers = errors.New("bad file of users")

// CheckUser reports whether a name can be one of a user.
func CheckUser(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, ":#/+ \t\r\n") {
		return fmt.Errorf("user %q: want 1 to 64 bytes without white space and : # / +: %w", name, ErrUsers)
	}
	return nil
}

// HashPassword makes the line of a user.
func HashPassword(name string, password []byte) (string, error) {
	if err := CheckUser(name); err != nil {
		return "", err
	}
	if len(password) == 0 {
		return "", fmt.Errorf("user %q: the password is empty: %w", name, ErrUsers)
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	hash, err := pbkdf2.Key(sha256.New, string(password), salt, hashRounds, sha256.Size)
	if err != nil {
		return "", err
	}
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s:%s$%d$%s$%s", name, hashScheme, hashRounds, encode(salt), encode(hash)), nil
}

// ParseUsers reads a file of users. Errors tell the line, and no hash.
func ParseUsers(data []byte) (*Users, error) {
	u := &Users{hashes: make(map[string]hashed)}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, ":")
		if err := CheckUser(name); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, twice := u.hashes[name]; twice {
			return nil, fmt.Errorf("line %d: user %q is there twice: %w", n, name, ErrUsers)
		}
		h, err := parseHash(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: user %q: %w", n, name, err)
		}
		u.hashes[name] = h
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsers, err)
	}
	if len(u.hashes) == 0 {
		return nil, fmt.Errorf("it names nobody: %w", ErrUsers)
	}
	return u, nil
}

func parseHash(text string) (h hashed, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != hashScheme {
		return h, fmt.Errorf("its password is not in the form of siskin broker passwd: %w", ErrUsers)
	}
	h.rounds, err = strconv.Atoi(parts[1])
	salt, saltErr := base64.StdEncoding.DecodeString(parts[2])
	hash, hashErr := base64.StdEncoding.DecodeString(parts[3])
	if err != nil || saltErr != nil || hashErr != nil || h.rounds < 1000 || h.rounds > maxRounds || len(salt) < 8 || len(hash) != sha256.Size {
		return h, fmt.Errorf("its password is damaged: %w", ErrUsers)
	}
	h.salt, h.hash = salt, hash
	return h, nil
}

// Check reports whether a password is that of a user. An unknown name takes as long as a wrong password.
func (u *Users) Check(name string, password []byte) bool {
	h, known := u.hashes[name]
	if !known {
		h = hashed{hashRounds, make([]byte, saltBytes), make([]byte, sha256.Size)}
	}
	got, err := pbkdf2.Key(sha256.New, string(password), h.salt, h.rounds, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1 && known
}

// SetPassword gives a user of a file a password, or takes the user out if that is nil. Other lines stay as they are; the file is made if
// it is absent, and replaced in one step.
func SetPassword(path, name string, password []byte) error {
	if err := CheckUser(name); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var out []string
	found := false
	for line := range strings.Lines(string(old)) {
		if other, _, _ := strings.Cut(line, ":"); other == name {
			found = true
			continue
		}
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	switch {
	case password != nil:
		line, err := HashPassword(name, password)
		if err != nil {
			return err
		}
		out = append(out, line)
	case !found:
		return fmt.Errorf("%s has no user %q: %w", path, name, ErrUsers)
	}
	return replace(path, []byte(strings.Join(append(out, ""), "\n")))
}
