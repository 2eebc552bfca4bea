package main

import "fmt"

type versionCommand struct{}

func (versionCommand) Run(s *streams) error {
	_, err := fmt.Fprintln(s.out, "siskin", version)
	return err
}
