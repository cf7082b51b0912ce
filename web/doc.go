// Package web is the only package that knows HTTP. It serves the API and the pages of a register,
// and those of head office. It decides no rule of business. The routes, docs/operations.md and
// /openapi.json are made from the same catalogue.
//
// Errors are RFC 9457 problems with a stable code. A refusal by a rule is a 4xx and never a 5xx,
// because clients treat a 5xx as a register that cannot be reached.
package web
