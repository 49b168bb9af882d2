from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('clusters', '0006_feeds_and_variants'),
    ]

    operations = [
        migrations.AlterField(
            model_name='clusteritemrule',
            name='rule',
            field=models.CharField(choices=[('core', 'Never leaves'), ('excluded', 'Never in it'), ('lessened', 'Weighs less'), ('taken', 'Taken in by learning')], max_length=10),
        ),
    ]
