package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"siskin/model/chat"
)

type templateCommand struct {
	Render renderCommand `cmd:"" help:"Render a conversation; prints the text and nothing else."`
}

type renderCommand struct {
	Template     string `required:"" type:"path" help:"Jinja chat template."`
	Conversation string `required:"" type:"path" help:"JSON object with messages, and whatever else the template reads."`
	Now          string `help:"Time for templates that print it, as 2006-01-02T15:04:05; default: now."`
}

func (c *renderCommand) Run(s *streams) error {
	source, err := os.ReadFile(c.Template)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(c.Conversation)
	if err != nil {
		return err
	}
	template, err := chat.Parse(string(source))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Template, err)
	}
	conversation, err := chat.ParseConversation(data)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Conversation, err)
	}
	conversation.Now = time.Now()
	if c.Now != "" {
		if conversation.Now, err = time.Parse("2006-01-02T15:04:05", c.Now); err != nil {
			return usagef("--now %q: want a time like 2006-01-02T15:04:05", c.Now)
		}
	}
	pieces, err := template.Render(conversation)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, p := range pieces {
		text.WriteString(p.Text)
	}
	_, err = io.WriteString(s.out, text.String())
	return err
}
