package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"siskin/mqtt/embedded"
)

// brokerCommand looks after the embedded broker.
type brokerCommand struct {
	Passwd brokerPasswdCommand `cmd:"" help:"Set the password of a user in a file for mqtt.embedded.users_file; it is read from standard input."`
}

type brokerPasswdCommand struct {
	File   string `arg:"" type:"path" help:"File of users; made if absent."`
	User   string `arg:"" help:"Name of the user."`
	Delete bool   `help:"Take the user out instead."`
}

func (c *brokerPasswdCommand) Run(s *streams) error {
	if err := embedded.CheckUser(c.User); err != nil {
		return usageError{err}
	}
	old, err := os.ReadFile(c.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var out []string
	found := false
	for line := range strings.Lines(string(old)) {
		if name, _, _ := strings.Cut(line, ":"); name == c.User {
			found = true
			continue
		}
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	if c.Delete && !found {
		return fmt.Errorf("%s has no user %q", c.File, c.User)
	}
	if !c.Delete {
		password, _ := bufio.NewReader(s.in).ReadBytes('\n')
		if len(bytes.TrimRight(password, "\r\n")) == 0 {
			return usagef("broker passwd: no password on standard input")
		}
		line, err := embedded.HashPassword(c.User, bytes.TrimRight(password, "\r\n"))
		if err != nil {
			return err
		}
		out = append(out, line)
	}
	return replaceFile(c.File, []byte(strings.Join(append(out, ""), "\n")))
}

// replaceFile writes a file that its owner alone may read, in one step.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".siskin-*") // readable by its owner alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
