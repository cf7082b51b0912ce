// Package web is the only one that knows HTTP: a register's API, its pages, and
// head office's. It has no rule. docs/operations.md and /openapi.json are made
// from the same catalogue as the routes.
//
// Errors are RFC 9457 problems with a stable code. A rule that says no is a 4xx,
// never a 5xx: a client reads a 5xx as a register that is not there.
package web
