package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Map;

/** Handlers as AWS's documentation writes them. */
public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    public App() {
        if (System.getenv("BROKEN_AT_START") != null) {
            throw new IllegalArgumentException("it cannot start");
        }
    }

    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Object asked = event.get("do");
        context.getLogger().log("asked to " + asked + "\n");
        if ("fail".equals(asked)) {
            throw new IllegalStateException("boöm", new RuntimeException("the reason"));
        }
        if ("exit".equals(asked)) {
            System.exit(7);
        }
        return Map.of(
            "sum", (Integer) event.get("a") + (Integer) event.get("b"),
            "name", context.getFunctionName(),
            "arn", context.getInvokedFunctionArn(),
            "id", context.getAwsRequestId(),
            "left", context.getRemainingTimeInMillis() > 0,
            "memory", context.getMemoryLimitInMB(),
            "custom", context.getClientContext() == null ? "" : context.getClientContext().getCustom().get("a"),
            "runs_in", System.getenv("AWS_EXECUTION_ENV"));
    }

    /** Bytes in, bytes out. */
    public static class Copy implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            in.transferTo(out);
        }
    }
}
