from django.apps import AppConfig


class RecommendationsConfig(AppConfig):
    name = "recommendations"
    verbose_name = "Releases and recommendations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from recommendations import audit, overlay_requests, roles
        from recommendations.serving import access, memory, shops

        audit.connect_signals()
        roles.connect_signals()
        access.connect_signals()
        memory.connect_signals()
        shops.connect_signals()
        overlay_requests.connect_signals()
