// Package chat turns a conversation into a prompt by the model's own chat template, and keeps text that people or tools
// wrote from becoming control tokens.
//
// Every string of a conversation is untrusted: contents, roles, names, tool calls with their arguments, tool definitions,
// and variables that come with it. Package jinja keeps marks on them through everything a template does, and the prompt is
// a list of pieces that say which text the template (or the operator: the tokens that begin and end a text) wrote. The
// tokenizer parses special tokens in those only. The joined text is exactly what Jinja 3.1 renders.
//
// The package reads no clock, file or environment; the time is a field of Conversation.
package chat
