// Package journal is an append-only log of records that survive a power cut once Append has said so.
//
// The log is a folder of segments. A segment has a fixed size that is reserved when it is made, so that writing to it changes no
// metadata; it is written front to back, and never again after a start, an error, or its end. Each record carries a CRC-32C and a
// number that only grows. A record that is damaged is left out, alone: reading finds the next one behind it.
//
// Records that are appended while the storage is busy are written and synced together (group commit, DeWitt et al. 1984). After
// an error of write or fdatasync nobody knows what the storage has, and a second fdatasync says nothing about it (Rebello et al.
// 2020, "Can Applications Recover from fsync Failures?"), so the segment is closed for good and the records go into a new one.
//
// What records mean is the business of the caller, who also decides when the log is worth compacting.
package journal
