"""Builds everything around traces and returns its part of the table of routes; decides nothing.

It is the share of ``app.py`` that concerns this folder, so that tests wire the same things.
"""

from bennu.audit.log import AuditLog
from bennu.httpio.route import Route
from bennu.kernel.ids import Entropy
from bennu.storage.database import Database
from bennu.traces.absent.routes import absent_routes
from bennu.traces.annotation_configs.flow import AnnotationConfigs
from bennu.traces.annotation_configs.routes import annotation_config_routes
from bennu.traces.annotations.flow import Annotations
from bennu.traces.annotations.routes import annotation_routes
from bennu.traces.dataframes.flow import Dataframes
from bennu.traces.dataframes.routes import dataframe_routes
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.routes import export_routes
from bennu.traces.projects.flow import Projects
from bennu.traces.projects.routes import project_routes
from bennu.traces.sessions.flow import TraceSessions
from bennu.traces.sessions.routes import trace_session_routes
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.flow import Spans
from bennu.traces.spans.routes import span_routes
from bennu.traces.traces.flow import Traces
from bennu.traces.traces.routes import trace_routes


def wired_trace_routes(
    database: Database,
    audit: AuditLog,
    entropy: Entropy,
    buffer: IngestBuffer,
    settings: TracesSettings,
) -> tuple[Route, ...]:
    """Return the routes of projects, spans, traces, sessions and annotations, and of the ingest.

    What is asked most stands first.
    """
    clock = database.clock
    return (
        *export_routes(buffer, settings),
        *project_routes(Projects(database, clock, audit)),
        *span_routes(Spans(database, audit), buffer.reserve, settings),
        *dataframe_routes(Dataframes(database)),
        *trace_routes(Traces(database, audit)),
        *trace_session_routes(TraceSessions(database, audit)),
        *annotation_routes(Annotations(database, clock, entropy, audit)),
        *annotation_config_routes(AnnotationConfigs(database, clock, audit)),
        *absent_routes(),
    )
