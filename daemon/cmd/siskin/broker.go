package main

import (
	"bufio"
	"bytes"

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
	if c.Delete {
		return embedded.SetPassword(c.File, c.User, nil)
	}
	line, _ := bufio.NewReader(s.in).ReadBytes('\n') // the last line of a file may have no end
	password := bytes.TrimRight(line, "\r\n")
	if len(password) == 0 {
		return usagef("broker passwd: no password on standard input")
	}
	return embedded.SetPassword(c.File, c.User, password)
}
