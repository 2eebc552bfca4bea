// Package draft guesses the next tokens of an answer from what was already read or written, and decides how many guesses
// are worth checking.
//
// Answers repeat: names, code, quotations and JSON keys of the prompt come back. Where the last tokens have occurred
// before, what followed then is a draft of what follows now (prompt lookup; Saxena 2023, "Prompt Lookup Decoding"). One
// pass of the model checks a whole draft, because a pass takes several rows of one sequence: it costs more than a pass of
// one row, on some machines little more, on others as much as a pass for each row. So the package measures: Finder makes
// drafts, Answer knows how often those of one answer are right, and Chooser knows what passes cost and sets the length of
// every draft, often to 0.
//
// Nothing here changes what is answered. A draft decides only which rows a pass has.
//
// The package has no clock: durations are arguments. It allocates only in its New functions.
package draft
