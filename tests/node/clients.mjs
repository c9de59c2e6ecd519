// The npm clients of Phoenix against a server: BASE_URL and KEY in the environment, JSON out.
import { createClient } from "@arizeai/phoenix-client";
import { register } from "@arizeai/phoenix-otel";
import {
  addSpanAnnotation,
  addSpanNote,
  getSpanAnnotations,
  getSpans,
  logSpans,
} from "@arizeai/phoenix-client/spans";
import { addSessionNote, getSession, listSessions } from "@arizeai/phoenix-client/sessions";
import { addTraceAnnotation, getTraces } from "@arizeai/phoenix-client/traces";

const { BASE_URL, KEY } = process.env;
const headers = { Authorization: `Bearer ${KEY}` };
const client = createClient({ options: { baseUrl: BASE_URL, headers } });
const project = { projectName: "js" };

const provider = register({
  projectName: "js",
  url: `${BASE_URL}/v1/traces`,
  apiKey: KEY,
  batch: false,
  global: false,
});
provider.getTracer("demo").startSpan("exported", { attributes: { "session.id": "js-1" } }).end();
await provider.forceFlush();
await provider.shutdown();

const now = new Date().toISOString();
await logSpans({
  client,
  project,
  spans: [
    {
      name: "logged",
      context: { trace_id: "1".repeat(32), span_id: "2".repeat(16) },
      span_kind: "LLM",
      start_time: now,
      end_time: now,
      status_code: "OK",
    },
  ],
});
const { spans } = await getSpans({ client, project, limit: 10 });
const exported = spans.find((span) => span.name === "exported").context;
const spanAnnotation = { spanId: exported.span_id, name: "js", label: "good", score: 1 };
await addSpanAnnotation({ client, spanAnnotation, sync: true });
await addSpanNote({ client, spanNote: { spanId: exported.span_id, note: "js note" } });
const found = await getSpanAnnotations({
  client,
  project,
  spanIds: [exported.span_id],
  excludeAnnotationNames: [],
});
const traceAnnotation = { traceId: exported.trace_id, name: "jst", score: 1 };
await addTraceAnnotation({ client, traceAnnotation, sync: true });
const { traces } = await getTraces({ client, project, includeSpans: true });
const sessions = await listSessions({ client, ...project });
await addSessionNote({ client, sessionNote: { sessionId: "js-1", note: "n" } });
const session = await getSession({ client, sessionId: "js-1" });
const projects = await client.GET("/v1/projects");

console.log(
  JSON.stringify({
    projects: projects.data.data.map((one) => one.name),
    spans: spans.map((span) => span.name),
    annotations: found.annotations.map((one) => one.name),
    traces: traces.length,
    sessions: sessions.map((one) => one.session_id ?? one.sessionId),
    session: session.sessionId ?? session.session_id,
  }),
);
process.exit(0);
