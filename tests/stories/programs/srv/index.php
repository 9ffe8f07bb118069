php says <?= 6 * 7 ?>
