// A function with AWS's own Go client of the Runtime API. The event says what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	With int    `json:"with"`
}

type refused struct{ reason string }

func (r *refused) Error() string { return r.reason }

func told(ctx context.Context) any {
	found, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"request_id":           found.AwsRequestID,
		"invoked_function_arn": found.InvokedFunctionArn,
		"deadline":             deadline.UnixMilli(),
		"left":                 time.Until(deadline).Milliseconds(),
		"client_context":       found.ClientContext,
		"xray_trace_id":        ctx.Value("x-amzn-trace-id"),
		"trace_in_environment": os.Getenv("_X_AMZN_TRACE_ID"),
		"function_name":        lambdacontext.FunctionName,
		"memory":               lambdacontext.MemoryLimitInMB,
		"version":              lambdacontext.FunctionVersion,
		"log_group":            lambdacontext.LogGroupName,
		"log_stream":           lambdacontext.LogStreamName,
	}
}

func serve(ctx context.Context, asked event) (any, error) {
	switch asked.Do {
	case "context":
		return told(ctx), nil
	case "error":
		return nil, errors.New("it failed")
	case "own-error":
		return nil, &refused{"it was refused"}
	case "panic":
		panic("it panicked")
	case "exit":
		os.Exit(7)
	case "answer":
		return strings.Repeat("x", asked.With), nil
	case "sleep":
		time.Sleep(time.Duration(asked.With) * time.Millisecond)
		return nil, nil
	case "stream", "break":
		reader, writer := io.Pipe()
		go func() {
			for piece := 0; piece < asked.With; piece++ {
				fmt.Fprintf(writer, "piece %d\n", piece)
				time.Sleep(20 * time.Millisecond)
			}
			if asked.Do == "break" {
				writer.CloseWithError(&refused{"it broke off"})
			}
			writer.Close()
		}()
		return reader, nil
	}
	return map[string]any{"event": asked}, nil
}

func main() {
	if os.Getenv("PANIC_AT_START") != "" {
		panic("not today")
	}
	lambda.Start(serve)
}
