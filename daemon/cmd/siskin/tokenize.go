package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"siskin/model/gguf"
	"siskin/model/mapfile"
	"siskin/model/tokenizer"
)

type tokenizeCommand struct {
	Model   string   `required:"" type:"path" help:"Model file (GGUF); a file with a vocabulary only will do."`
	Lines   string   `type:"path" help:"JSON file with an array of strings; prints an array of id arrays."`
	Special bool     `help:"Read special tokens in the text as such."`
	BOS     bool     `help:"Add the beginning-of-sequence token if the file asks for it."`
	Pre     string   `name:"tokenizer-pre" help:"Rule that cuts text into words (llama-bpe, qwen2, …), in place of the one that the file names."`
	Text    []string `arg:"" optional:"" help:"Texts to tokenize, one line of ids each."`
}

func (c *tokenizeCommand) Run(s *streams) (err error) {
	if (c.Lines == "") == (len(c.Text) == 0) {
		return usagef("tokenize: give either --lines FILE.json or texts")
	}
	texts := c.Text
	if c.Lines != "" {
		if texts, err = readTexts(c.Lines); err != nil {
			return err
		}
	}
	file, err := mapfile.Open(c.Model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	container, err := gguf.Parse(file.Bytes())
	if err != nil {
		return err
	}
	t, err := tokenizer.FromGGUFAs(container, c.Pre)
	if err != nil {
		return err
	}
	if w := t.Warning(); w != "" {
		fmt.Fprintf(s.err, "siskin: %s: %s\n", c.Model, w)
	}
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i] = t.Encode([]int32{}, text, tokenizer.Options{Special: c.Special, BOS: c.BOS})
	}
	out := json.NewEncoder(s.out)
	if c.Lines != "" {
		return out.Encode(ids)
	}
	for _, line := range ids {
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func readTexts(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	if err := json.Unmarshal(data, &lines); err != nil {
		return nil, usagef("%s: %v; want a JSON array of strings", path, err)
	}
	return lines, nil
}
