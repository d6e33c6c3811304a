// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/image/logins"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func loginCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "login",
		Usage:     "keep the credentials of a registry, after trying them",
		ArgsUsage: "REGISTRY",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "user name; asked for on a terminal"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from standard input"},
			&cli.BoolFlag{Name: "get-login", Usage: "print whose credentials there are, and end"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(t, (*session).login),
	}
}

func logoutCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "logout",
		Usage:     "erase the credentials of a registry",
		ArgsUsage: "REGISTRY",
		Flags:     []cli.Flag{outputFlag()},
		Action:    withSession(t, (*session).logout),
	}
}

// loginResult is what `login -o json` prints; never a secret.
type loginResult struct {
	Registry string `json:"registry"`
	Username string `json:"username"`
	// Where the credentials are: a file or a helper.
	Where string `json:"where"`
	// Checked says that the registry accepted them.
	Checked bool `json:"checked"`
}

// oneRegistry reads the command's only argument.
func (s *session) oneRegistry() (string, error) {
	if s.c.NArg() != 1 {
		return "", usagef("%s: want one registry, HOST[:PORT], got %d arguments", commandName(s.c), s.c.NArg())
	}
	host, err := image.ParseRegistry(s.c.Args().First())
	if err != nil {
		return "", usageError{err}
	}
	return host, nil
}

func (s *session) login() error {
	host, err := s.oneRegistry()
	if err != nil {
		return err
	}
	known := logins.New(s.term.lookup)
	if s.c.Bool("get-login") {
		return s.whoAmI(known, host)
	}
	user, password, err := s.askLogin()
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	registry, err := s.registry(nil)
	if err != nil {
		return err
	}
	checked, err := registry.CheckLogin(ctx, host, user, password)
	if errors.Is(err, image.ErrUnauthorized) {
		return refusedLogin{err, user}
	}
	if err != nil {
		return err
	}
	kept, err := known.Save(ctx, host, user, password)
	if err != nil {
		return err
	}
	if !checked {
		s.term.notice("warning: %s asks for no credentials, so these could not be tried", host)
	}
	if kept.Encoded {
		s.term.notice("warning: %s now holds the password unencrypted; a credential helper (credsStore) would keep it safer", kept.Where)
	}
	result := loginResult{Registry: host, Username: user, Where: kept.Where, Checked: checked}
	return s.printLine(result, "logged in to "+host+" as "+user)
}

// refusedLogin: the advice to log in does not help who just tried.
type refusedLogin struct {
	err  error
	user string
}

func (e refusedLogin) Error() string {
	return fmt.Sprintf("the registry refuses this user name (%q) or password; nothing was kept: %v", e.user, e.err)
}

// whoAmI prints the user name.
func (s *session) whoAmI(known *logins.Logins, host string) error {
	login, err := known.Find(s.c.Context, host)
	if err != nil {
		return err
	}
	if login == nil {
		return fmt.Errorf("not logged in to %s", host)
	}
	return s.printLine(loginResult{Registry: host, Username: login.Username, Where: login.Where}, login.Username)
}

// askLogin reads the user name and the password. There is no flag for the
// password: the arguments of a process are for everybody to read.
func (s *session) askLogin() (user, password string, err error) {
	user = s.c.String("username")
	in, _ := s.term.in.(*os.File)
	person := in != nil && term.IsTerminal(int(in.Fd()))
	switch {
	case s.c.Bool("password-stdin") && user == "":
		return "", "", usagef("login: --password-stdin needs --username")
	case s.c.Bool("password-stdin"):
		password, err = s.term.readSecret(s.c.Context)
	case !person:
		return "", "", usagef("login: there is no terminal to ask for the password: pipe it into `bpfimg login --username USER --password-stdin REGISTRY`")
	default:
		if user == "" {
			if user, err = s.term.askName(s.c.Context, in); err != nil {
				return "", "", err
			}
		}
		var typed []byte
		typed, err = s.term.ask(s.c.Context, in, "Password: ")
		password = string(typed)
	}
	switch {
	case err != nil:
		return "", "", fmt.Errorf("reading the password: %w", err)
	case user == "" || strings.Contains(user, ":"):
		return "", "", usagef("login: the user name must not be empty, nor have a colon in it")
	case password == "" || strings.ContainsAny(user+password, "\x00\r\n"):
		return "", "", usagef("login: the password must be one line that is not empty")
	}
	return user, password, nil
}

// logoutResult is what `logout -o json` prints.
type logoutResult struct {
	Registry string `json:"registry"`
	// From are the files and helpers that had credentials.
	From []string `json:"from"`
}

func (s *session) logout() error {
	host, err := s.oneRegistry()
	if err != nil {
		return err
	}
	known := logins.New(s.term.lookup)
	from, err := known.Erase(s.c.Context, host)
	if err != nil {
		return err
	}
	line := "not logged in to " + host
	if len(from) > 0 {
		line = "logged out of " + host + ": erased from " + strings.Join(from, ", ")
	}
	if left, err := known.Find(s.c.Context, host); err == nil && left != nil {
		s.term.notice("warning: %s still has credentials for %s, which this command does not change", left.Where, host)
	}
	return s.printLine(logoutResult{Registry: host, From: append([]string{}, from...)}, line)
}
