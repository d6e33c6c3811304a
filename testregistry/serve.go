// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Timeouts of the server: generous for a person on a slow line, finite for a
// client that sends nothing.
const (
	headerTimeout   = 10 * time.Second
	bodyTimeout     = 10 * time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeader       = 64 << 10 // bytes
)

// Serve listens on address ("host:port"; port 0 takes a free one), tells ready
// (may be nil) the real address and serves plain HTTP until ctx ends. Requests
// under way get five seconds to finish. It returns nil after such an end.
func (r *Registry) Serve(ctx context.Context, address string, ready func(address string)) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serving the registry on %q: %w", address, err)
	}
	server := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(r.opts.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if ready != nil {
		ready(listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serving the registry on %q: %w", address, err)
	case <-ctx.Done():
	}
	return stop(server, ended)
}

// stop ends the server and waits for it.
func stop(server *http.Server, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	if err != nil {
		return fmt.Errorf("stopping the registry: %w", err)
	}
	return nil
}
