// Package message is the vocabulary of siskin: what a request, an answer, a
// delta, an acceptance, a cancellation and a status look like, in memory and as
// bytes. It parses payloads of strangers with every size and range checked
// before use, and it never does any input or output.
//
// # Version 1 of the forms
//
// All forms are one JSON object (RFC 8259), UTF-8. Keys that are not listed are
// ignored, a null counts as absent, a key may appear once. A form gains keys
// within a version; a key changes its meaning or its type only with a new
// version. A request may say "v":1; a version that this package does not know is
// refused with the code "unsupported". Answer and Status always carry "v".
//
// Request, to …/prompt:
//
//	{"v":1, "id":"k7", "prompt":"…" | "messages":[{"role":"user","content":"…"},…],
//	 "session":"kitchen", "stream":true, "reply_to":"home/answers/k7",
//	 "max_tokens":200, "temperature":0.7, "top_p":0.9, "top_k":40, "min_p":0.05,
//	 "seed":1, "stop":["\n\n"], "deadline_ms":30000, "priority":0}
//
// Accepted, on …/accepted/<id>: {"id":"k7","queue_depth":3}
//
// Delta, on …/delta/<id>: {"id":"k7","seq":0,"delta":"Hel"}
//
// Answer, on …/answer/<id> or reply_to:
//
//	{"v":1, "id":"k7", "status":"ok", "text":"…",
//	 "usage":{"prompt_tokens":9,"completion_tokens":40,"cached_tokens":0},
//	 "timing":{"queue_ms":1,"prefill_ms":30,"decode_ms":600}, "model":"…"}
//
// with "code" as well when something is to be said about the status; in a
// refusal "text" is a sentence for a person. "usage" has "drafted_tokens" and
// "accepted_tokens" as well when tokens were guessed ahead of the model.
//
// Cancel, to …/cancel: {"id":"k7"} or the bare id.
//
// Status, retained on …/status: {"v":1,"state":"online","version":"…","model":"…"}
package message
