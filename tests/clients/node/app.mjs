// Handlers as AWS's documentation writes them.
if (process.env.BROKEN_AT_START) throw new TypeError("it cannot start");

export const handler = async (event, context) => {
  console.log("asked to", event.do);
  if (event.do === "fail") throw new RangeError("boöm");
  if (event.do === "exit") process.exit(7);
  return {
    sum: event.a + event.b,
    name: context.functionName,
    arn: context.invokedFunctionArn,
    id: context.awsRequestId,
    left: context.getRemainingTimeInMillis() > 0,
    memory: context.memoryLimitInMB,
    custom: context.clientContext?.custom?.a ?? "",
    runs_in: process.env.AWS_EXECUTION_ENV,
    node: process.version,
  };
};

export const called_back = (event, context, callback) => callback(null, ["called back", event]);

export const stream = awslambda.streamifyResponse(async (event, out, context) => {
  for (let number = 0; number < event.pieces; number += 1) {
    out.write(`piece ${number}\n`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (event.breaks) throw new RangeError("it broke off");
  }
  out.end();
});

export const page = awslambda.streamifyResponse(async (event, out, context) => {
  const prelude = { statusCode: 201, headers: { "content-type": "text/plain", "x-from": "node" }, cookies: ["a=1"] };
  const body = awslambda.HttpResponseStream.from(out, prelude);
  body.write("streamed ");
  body.write(event.rawPath);
  body.end();
});
