"""Django settings: one file, driven by the environment. `docs/operators.md` lists every variable.

Defaults serve a demo on this machine: SQLite, an embedded Valkey behind a unix socket, all data under `var/`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from celery.schedules import crontab
from django.templatetags.static import static
from kombu import Queue

from recsite import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).absolute()
"""Everything this installation keeps: database, Valkey's files, releases, secrets, logs."""

SECRET_KEY = os.environ.get("SECRET_KEY") or env.kept_secret(DATA_DIR / "secret_key")
DEBUG = env.flag("DEBUG", False)
PORT = env.whole("PORT", 8000, minimum=1)
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
# Set when a proxy in front speaks TLS: cookies then travel over https only.
HTTPS = env.flag("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# The system's own settings ---------------------------------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL", f"unix://{env.socket_path(DATA_DIR / 'valkey', 'valkey.sock')}?db=0")
RELEASES_DIR = DATA_DIR / "releases"
ACTIVITY_PARTITIONS = env.whole("ACTIVITY_PARTITIONS", 16, minimum=1)
SESSION_TTL_S = env.whole("SESSION_TTL_S", 2 * 24 * 3600, minimum=60)
ACTIVITY_FSYNC = env.choice("ACTIVITY_FSYNC", "always", ("always", "everysec"))
"""`appendfsync` of the embedded Valkey: with `always`, whatever is acknowledged is on disk."""
DURABILITY = env.choice("DURABILITY", "always", ("always", "waitaof", "everysec"))
"""What an acknowledged event means: the server syncs every write; we wait for its AOF; up to a second may be lost."""
TRUSTED_PROXIES = env.whole("TRUSTED_PROXIES", 0)
"""Proxies of our own in front: so many entries at the end of `X-Forwarded-For` are to be believed."""
WEATHER_URL = env.web_address("WEATHER_URL")
"""Forecasts in Open-Meteo's form; empty for no weather."""
FEED_PRIVATE_HOSTS = env.names("FEED_PRIVATE_HOSTS")
"""Hosts of catalogue feeds that may lie in our own network; any other that does is refused."""
FEED_MAX_BYTES = env.whole("FEED_MAX_MB", 512, minimum=1) * 1_000_000
IMPORT_MAX_BYTES = env.whole("IMPORT_MAX_MB", 2_000, minimum=1) * 1_000_000
"""Of a file that is handed in by the admin's page."""
SESSION_TOKEN_TTL_S = env.whole("SESSION_TOKEN_TTL_S", 12 * 3600, minimum=60)
THROTTLE_KEY_PER_S = env.whole("THROTTLE_KEY_PER_S", 500)
THROTTLE_TOKEN_PER_S = env.whole("THROTTLE_TOKEN_PER_S", 20)
"""Requests a second of an API key that has no limit of its own, and of a session token; 0 for no limit."""
SOCKETS_MAX = env.whole("SOCKETS_MAX", 5_000, minimum=1)
"""Websockets that one process holds, at most."""
SOCKET_PING_S = env.whole("SOCKET_PING_S", 25, minimum=1)
"""Seconds between two looks whether the other end of a websocket is there; proxies cut what is silent for a minute."""
VISITORS_URL = env.web_address("VISITORS_URL") or f"http://localhost:{PORT}"
"""By which address simulated visitors come in."""
TRAINING_JOBS = env.whole("TRAINING_JOBS", 1, minimum=1)
"""Threads of a fit of personas. One leaves the other processors to the shoppers."""

# Django ----------------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "personas",
    "clusters",
    "recommendations",
    "recsite",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "recsite.security.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "recsite.urls"
ASGI_APPLICATION = "recsite.asgi.application"
WSGI_APPLICATION = "recsite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": env.database(
        env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}"),
        # FULL, because the activity log is trimmed behind what the archive has committed.
        sqlite_synchronous=env.choice("SQLITE_SYNCHRONOUS", "FULL", ("OFF", "NORMAL", "FULL", "EXTRA")),
        pool_max=env.whole("DATABASE_POOL_MAX", 8, minimum=1),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = "recsite.formats"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are found once at start, where they lie: no collectstatic step before a first run.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 300

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"serializer": "recsite.json_cache.JsonSerializer"},
    }
}

CELERY_BROKER_URL = CELERY_RESULT_BACKEND = env.celery_url(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "celery:", "visibility_timeout": 6 * 3600}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"global_keyprefix": "celery:"}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
# What takes minutes has a queue of its own, so that it never holds the slots that the archiver and all else that is live need.
# A worker that is started without -Q takes both.
CELERY_TASK_DEFAULT_QUEUE, LONG_QUEUE = "celery", "long"
CELERY_TASK_QUEUES = (Queue(CELERY_TASK_DEFAULT_QUEUE), Queue(LONG_QUEUE))
CELERY_TASK_ROUTES = {
    name: {"queue": LONG_QUEUE}
    for name in (
        "recommendations.tasks.train_shop",
        "recommendations.tasks.train_all_shops",
        "recommendations.tasks.fit_personas",
        "recommendations.tasks.fit_all_personas",
        "recommendations.tasks.build_clusters",
        "recommendations.tasks.import_file",
        "recommendations.tasks.expire_shop",
        "recommendations.learning.tasks.propose_cluster_changes",
        "clusters.tasks.fetch_feed",
    )
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    # An entry that nobody took in time is dropped: the next one archives the same events.
    "archive-activity": {"task": "recommendations.tasks.archive_activity", "schedule": 2.0, "options": {"expires": 10}},
    "refresh-searches": {"task": "clusters.tasks.refresh_searches", "schedule": 15.0, "options": {"expires": 10}},
    "fetch-feeds": {"task": "clusters.tasks.fetch_due_feeds", "schedule": 60.0, "options": {"expires": 30}},
    "publish-cluster-edits": {
        "task": "recommendations.tasks.publish_all_cluster_edits",
        "schedule": 60.0,
        "options": {"expires": 30},
    },
    "learn-policies": {
        "task": "recommendations.learning.tasks.learn_all_policies",
        "schedule": 300.0,
        "options": {"expires": 240},
    },
    "look-at-experiments": {
        "task": "recommendations.learning.tasks.look_at_experiments",
        "schedule": 30.0,
        "options": {"expires": 25},
    },
    "publish-overlays": {"task": "recommendations.tasks.publish_all_overlays", "schedule": 10.0, "options": {"expires": 10}},
    "prune-overlays": {"task": "recommendations.tasks.prune_overlays", "schedule": crontab(hour=3, minute=50)},
    "resume-visitors": {"task": "recommendations.tasks.resume_visitors", "schedule": 30.0, "options": {"expires": 20}},
    "sync-keys": {"task": "recommendations.tasks.sync_keys", "schedule": 60.0, "options": {"expires": 30}},
    # Before the trainings of the night, so that what was seen of a day is proposed by the next morning.
    "propose-cluster-changes": {
        "task": "recommendations.learning.tasks.propose_all_cluster_changes",
        "schedule": crontab(hour=2, minute=40),
    },
    # At an hour of its own: a training that ran since the day's last events leaves nothing to fit.
    "fit-personas-nightly": {"task": "recommendations.tasks.fit_all_personas", "schedule": crontab(hour=4, minute=10)},
    "expire-nightly": {"task": "recommendations.tasks.expire_all_shops", "schedule": crontab(hour=3, minute=20)},
    "sync-shoppers": {"task": "recommendations.tasks.sync_all_shoppers", "schedule": crontab(hour=5, minute=40)},
    "train-nightly": {"task": "recommendations.tasks.train_all_shops", "schedule": timedelta(hours=24)},
}

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "recommendations.api.access.problem_response",
    "DEFAULT_PAGINATION_CLASS": "recommendations.api.pages.Pages",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    # A form's body would be taken for an object without the fields that were sent, and change nothing in silence.
    "DEFAULT_PARSER_CLASSES": ["recommendations.api.bodies.JsonBody"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Persona clusters",
    "DESCRIPTION": "Live personas, adaptive item clusters and recommendations beside a web shop.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "DEFAULT_GENERATOR_CLASS": "recommendations.api.document.Generator",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    # The page would ask another host whether the document is valid.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "docExpansion": "none", "validatorUrl": "none"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "recommendations.api.document.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "SlateContext": "recommendations.session.CONTEXTS",
        "ClusterKind": "clusters.models.ItemCluster.Kind",
        "ClusterActor": "clusters.models.ClusterChange.Actor",
        "ClusterAction": "clusters.models.ClusterChange.Action",
        "RuleAction": "recommendations.models.MerchandisingRule.Action",
        "FeedState": "clusters.models.CatalogueFeed.State",
        "ReleaseState": "recommendations.models.Release.State",
        "ExperimentState": "recommendations.learning.models.Experiment.State",
        "ProposalState": "recommendations.learning.models.ClusterProposal.State",
        "ProposalKind": "recommendations.learning.models.ClusterProposal.Kind",
        "PolicyState": "recommendations.learning.models.PolicyVersion.State",
        "Verdict": "recommendations.learning.models.ClusterProposal.Verdict",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

UNFOLD = {
    "SITE_TITLE": "Persona clusters",
    "SITE_HEADER": "Persona clusters",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}],
    "SHOW_HISTORY": True,
    "DASHBOARD_CALLBACK": "recommendations.desk.pages.desk",
    "STYLES": [lambda request: static("admin.css")],
    "SCRIPTS": [lambda request: static("together.js")],
    "SIDEBAR": {"navigation": "recommendations.desk.sidebar.sidebar"},
    "BORDER_RADIUS": "8px",
    # The one accent (Okabe-Ito blue, #0072B2) in Unfold's scale; `static/tokens.css` has the same.
    "COLORS": {
        "primary": {
            "50": "#eef7fc",
            "100": "#d6ecf8",
            "200": "#add9f1",
            "300": "#75bfe6",
            "400": "#389fd4",
            "500": "#2592cd",
            "600": "#0072b2",
            "700": "#005c91",
            "800": "#034c76",
            "900": "#083f62",
            "950": "#052840",
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    # Every visitor who asks for a page that isn't there would be a warning.
    # httpx would tell of every request to the weather service, key and all.
    "loggers": {"django.request": {"level": "ERROR"}, "httpx": {"level": "WARNING"}},
}
