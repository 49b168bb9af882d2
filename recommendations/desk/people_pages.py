"""People and roles: what each role may do, in plain words and from the rights as they are, who has it, and giving it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, IntegerField, Prefetch, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from personas.admin import ThemedGroupAdmin
from recommendations import roles
from recommendations.desk.clusters.items import numbers
from recommendations.desk.tables import csv_file
from recommendations.key_hand import ACCOUNT

PAGE = "auth_group_people"

MAY_LOOK = "personas.view_session"
"""What a role may do is for everybody on the desk."""

SEES_PEOPLE = ("auth.view_user", roles.GIVES, "recommendations.view_auditentry")
"""Any of these shows who has which role: those who may see who did what."""

MOST_PEOPLE = 500
"""People that can be chosen from."""

admin.site.unregister(Group)


@admin.register(Group)
class PeoplePages(ThemedGroupAdmin):
    """Beside the plain page of groups, which takes the right to change them."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [
            path("people/", view(self.people), name=PAGE),
            path("people/csv/", view(self.as_csv), name=f"{PAGE}_csv"),
            path("<int:pk>/people/", view(require_POST(self.give)), name=f"{PAGE}_give"),
            *urls,
        ]

    def people(self, request: HttpRequest) -> HttpResponse:
        """What each role may do, and who has it."""
        told = self._told(request)
        groups, may = told["groups"], told["sees_people"]
        users = get_user_model().objects.filter(is_active=True).exclude(username=ACCOUNT).order_by("username")
        known = list(users[:MOST_PEOPLE]) if any(group.may_give for group in groups) else []
        for group in groups:
            held = {user.pk for user in group.people}
            group.others = [user for user in known if user.pk not in held and not user.is_superuser] if group.may_give else []
        context = {
            **self.admin_site.each_context(request),
            **told,
            "title": "People and roles",
            "everything": list(users.filter(is_superuser=True, is_staff=True)) if may else [],
            "may_make": request.user.has_perm("auth.add_user") and request.user.has_perm("auth.change_user"),
        }
        return TemplateResponse(request, "admin/desk/people.html", context)

    def as_csv(self, request: HttpRequest) -> HttpResponse:
        """The table of what each role may do."""
        told = self._told(request)
        names = [group.name for group in told["groups"]]
        lines = [(act.group, act.does, *("yes" if may else "no" for may in row)) for act, row in told["table"]]
        return csv_file("roles", ("", "what", *names), lines)  # type: ignore[return-value]

    def _told(self, request: HttpRequest) -> dict[str, Any]:
        """Raises PermissionDenied."""
        user = request.user
        sees_people = any(user.has_perm(right) for right in SEES_PEOPLE)
        if not (sees_people or user.has_perm(MAY_LOOK)):
            raise PermissionDenied
        people = get_user_model().objects.filter(is_active=True).order_by("username")
        first = [When(name=name, then=Value(place)) for place, name in enumerate(roles.ROLES)]
        groups = list(
            Group.objects.annotate(place=Case(*first, default=Value(len(first)), output_field=IntegerField()))
            .order_by("place", "name")
            .prefetch_related("permissions__content_type", Prefetch("user_set", people, to_attr="people"))
        )
        held = [{f"{r.content_type.app_label}.{r.codename}" for r in group.permissions.all()} for group in groups]
        for group, rights in zip(groups, held, strict=True):
            group.may_give = user.is_superuser or (  # type: ignore[attr-defined]
                user.has_perm(roles.GIVES) and user.has_perms(rights)
            )
        table = [(act, [rights.issuperset(act.rights) for rights in held]) for act in roles.ACTS]
        return {"groups": groups, "table": table, "sees_people": sees_people}

    def give(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give a role to somebody, or take it: `user`, and `take` where it is taken."""
        group = get_object_or_404(Group, pk=pk)
        if not roles.may_give(request.user, group):
            raise PermissionDenied
        back = HttpResponseRedirect(reverse(f"admin:{PAGE}"))
        chosen = get_user_model().objects.filter(pk__in=numbers([request.POST.get("user", "")]), is_active=True).first()
        if chosen is None or chosen.get_username() == ACCOUNT:
            messages.error(request, "Nobody was chosen, so nothing was changed. Choose somebody from the list.")
            return back
        if chosen.is_superuser and not request.user.is_superuser:
            raise PermissionDenied
        take = bool(request.POST.get("take"))
        with transaction.atomic():
            had = chosen.groups.filter(pk=group.pk).exists()
            if had is not take:
                messages.info(request, f"{chosen} {'has' if had else 'doesn’t have'} that role already.")
                return back
            if take:
                chosen.groups.remove(group)
                words = f"No longer {_one(group)}."
            else:
                chosen.groups.add(group)
                words = f"{_one(group).capitalize()} from now on."
                if not chosen.is_staff:
                    chosen.is_staff = True
                    chosen.save(update_fields=["is_staff"])
                    words += " May log in here."
            self.log_change(request, chosen, words)  # type: ignore[arg-type]  # any row can be told of
        messages.success(request, f"{chosen}: {words[:1].lower()}{words[1:]}")
        return back


def _one(group: Group) -> str:
    """A person of a role: "a manager"."""
    if group.name not in roles.ROLES:
        return f"in “{group.name}”"
    return f"a {group.name.lower().removesuffix('s')}"
