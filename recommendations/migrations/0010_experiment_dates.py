from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0009_day_tally_index")]

    operations = [
        migrations.AddField("experiment", "starts_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("experiment", "ends_at", models.DateTimeField(blank=True, null=True)),
    ]
